package wsx_test

import (
	"context"
	"fmt"
	"reflect"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
)

func ExampleDispatcher_Documents() {
	type GetOrder struct {
		ID int64 `json:"id"`
	}
	type Order struct {
		ID    int64  `json:"id"`
		State string `json:"state"`
	}
	d := wsx.NewDispatcher()
	wsx.Handle(d, "orders.get",
		func(_ context.Context, in GetOrder) (Order, error) { return Order{in.ID, "paid"}, nil })
	d.Describe("orders.get", "One order.")
	hub := wsx.NewHub(nil)
	hub.Configure("orders.*",
		&wsx.ChannelOptions{Doc: "Orders of a region.", Payload: reflect.TypeFor[Order]()})

	openRPC, asyncAPI, err := d.Documents(
		&wsx.DescribeOptions{Title: "Orders", Version: "1.0.0", Hub: hub})
	if err != nil {
		fmt.Println(err)
	}
	for _, document := range []jsontext.Value{openRPC, asyncAPI} {
		if err := document.Indent(jsontext.WithIndent("  ")); err != nil {
			fmt.Println(err)
		}
		fmt.Println(document)
	}
	// Output:
	// {
	//   "openrpc": "1.3.2",
	//   "info": {
	//     "title": "Orders",
	//     "version": "1.0.0"
	//   },
	//   "methods": [
	//     {
	//       "name": "orders.get",
	//       "description": "One order.",
	//       "paramStructure": "either",
	//       "params": [
	//         {
	//           "name": "id",
	//           "schema": {
	//             "type": "integer",
	//             "format": "int64"
	//           }
	//         }
	//       ],
	//       "result": {
	//         "name": "result",
	//         "schema": {
	//           "$ref": "#/components/schemas/Order"
	//         }
	//       },
	//       "x-wsx-kind": "request",
	//       "x-wsx-params": {
	//         "$ref": "#/components/schemas/GetOrder"
	//       }
	//     }
	//   ],
	//   "components": {
	//     "schemas": {
	//       "GetOrder": {
	//         "type": "object",
	//         "properties": {
	//           "id": {
	//             "type": "integer",
	//             "format": "int64"
	//           }
	//         },
	//         "additionalProperties": false
	//       },
	//       "Order": {
	//         "type": "object",
	//         "properties": {
	//           "id": {
	//             "type": "integer",
	//             "format": "int64"
	//           },
	//           "state": {
	//             "type": "string"
	//           }
	//         },
	//         "required": [
	//           "id",
	//           "state"
	//         ],
	//         "additionalProperties": false
	//       }
	//     }
	//   }
	// }
	// {
	//   "asyncapi": "3.0.0",
	//   "info": {
	//     "title": "Orders",
	//     "version": "1.0.0"
	//   },
	//   "defaultContentType": "application/json",
	//   "channels": {
	//     "orders.token1": {
	//       "address": "orders.{token1}",
	//       "description": "Orders of a region.",
	//       "messages": {
	//         "event": {
	//           "payload": {
	//             "$ref": "#/components/schemas/Order"
	//           }
	//         }
	//       },
	//       "parameters": {
	//         "token1": {
	//           "description": "Exactly one token."
	//         }
	//       },
	//       "x-wsx-pattern": "orders.*"
	//     }
	//   },
	//   "operations": {
	//     "orders.token1": {
	//       "action": "send",
	//       "channel": {
	//         "$ref": "#/channels/orders.token1"
	//       }
	//     }
	//   },
	//   "components": {
	//     "schemas": {
	//       "Order": {
	//         "type": "object",
	//         "properties": {
	//           "id": {
	//             "type": "integer",
	//             "format": "int64"
	//           },
	//           "state": {
	//             "type": "string"
	//           }
	//         },
	//         "required": [
	//           "id",
	//           "state"
	//         ],
	//         "additionalProperties": false
	//       }
	//     }
	//   }
	// }
}
