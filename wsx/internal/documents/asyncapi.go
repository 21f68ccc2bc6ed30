package documents

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/schema"
)

// The objects of AsyncAPI 3.0 (https://www.asyncapi.com/docs/reference/specification/v3.0.0) that a
// document of ours has.
type (
	asyncAPI struct {
		AsyncAPI           string                       `json:"asyncapi"`
		Info               infoObject                   `json:"info"`
		DefaultContentType string                       `json:"defaultContentType"`
		Channels           map[string]asyncAPIChannel   `json:"channels"`
		Operations         map[string]asyncAPIOperation `json:"operations"`
		Components         componentsObject             `json:"components"`
	}
	asyncAPIChannel struct {
		Address     string                       `json:"address"`
		Description string                       `json:"description,omitzero"`
		Messages    map[string]asyncAPIMessage   `json:"messages"`
		Parameters  map[string]asyncAPIParameter `json:"parameters,omitempty"`
		Pattern     string                       `json:"x-wsx-pattern"`
	}
	asyncAPIMessage struct {
		Payload *schema.Schema `json:"payload"`
	}
	asyncAPIParameter struct {
		Description string `json:"description"`
	}
	asyncAPIOperation struct {
		Action  string    `json:"action"`
		Channel reference `json:"channel"`
	}
	reference struct {
		Ref string `json:"$ref"`
	}
)

// Channel is a channel, or those of a pattern.
type Channel struct {
	Pattern string
	Doc     string       // in CommonMark; none when empty
	Payload reflect.Type // of the events; nil is anything
}

// AsyncAPI returns the document of the channels.
func AsyncAPI(info *Info, channels []Channel) (jsontext.Value, error) {
	definitions := newDefinitions()
	doc := asyncAPI{
		AsyncAPI: "3.0.0", Info: info.object(), DefaultContentType: "application/json",
		Channels: make(map[string]asyncAPIChannel), Operations: make(map[string]asyncAPIOperation),
	}
	channels = slices.Clone(channels)
	slices.SortFunc(channels,
		func(a, b Channel) int { return strings.Compare(a.Pattern, b.Pattern) })
	for _, c := range channels {
		payload := &schema.Schema{}
		if c.Payload != nil {
			payload = definitions.Schema(c.Payload, schema.Encode)
		}
		address, parameters := channelAddress(c.Pattern)
		id := channelID(address)
		for free, n := id, 2; ; n++ {
			if _, taken := doc.Channels[free]; !taken {
				id = free
				break
			}
			free = id + "-" + strconv.Itoa(n)
		}
		doc.Channels[id] = asyncAPIChannel{
			Address: address, Description: c.Doc, Parameters: parameters, Pattern: c.Pattern,
			Messages: map[string]asyncAPIMessage{"event": {payload}},
		}
		doc.Operations[id] = asyncAPIOperation{
			Action:  "send",
			Channel: reference{"#/channels/" + id},
		}
	}
	doc.Components.Schemas = definitions.All()
	return encode(doc)
}

// channelAddress is a pattern as an address with parameters: room.*.> is room.{token1}.{rest}.
func channelAddress(pattern string) (string, map[string]asyncAPIParameter) {
	parameters := make(map[string]asyncAPIParameter)
	tokens := strings.Split(pattern, ".")
	for i, token := range tokens {
		var name, doc string
		switch token {
		case "*":
			name, doc = "token"+strconv.Itoa(len(parameters)+1), "Exactly one token."
		case ">":
			name, doc = "rest", "One or more tokens, joined by dots."
		default:
			continue
		}
		parameters[name] = asyncAPIParameter{doc}
		tokens[i] = "{" + name + "}"
	}
	return strings.Join(tokens, "."), parameters
}

// channelID makes a name of an address that a reference may hold as it is.
func channelID(address string) string {
	return strings.NewReplacer("{", "", "}", "", ":", "_", "@", "_").Replace(address)
}
