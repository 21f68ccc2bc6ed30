//go:build clients

// Command clients calls every operation of an example by the client that ogen makes of its
// document, and provokes each refusal that it can.
//
//	ADA=… BOB=… STAFF=… PARTNER=… clients orders URL DOCUMENT
//	clients quickstart URL DOCUMENT
package main

import (
	"context"
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	w, err := newWitness(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	calls := map[string]func(context.Context, string, *witness){
		"orders":     callOrders,
		"quickstart": callQuickstart,
	}
	calls[os.Args[1]](context.Background(), os.Args[2], w)
	if err := w.verdict(); err != nil {
		log.Fatal(err)
	}
}
