package main

import (
	"fmt"

	"github.com/genropy/genro-asgi-go/problem"
)

// The validator joins every door: its errors are fields that are called as their sender calls them.
func Example_validator() {
	validate := newValidator()
	err := validate(
		&UpdateIn{OrderIn: OrderIn{Items: []Item{{SKU: "tea", Quantity: 1}, {Quantity: 2000}}}})
	for _, field := range problem.Of(err).Fields {
		fmt.Println(field.In, field.Pointer, field.Detail)
	}
	err = validate(&ListIn{Limit: 1000})
	fmt.Println(problem.Of(err).Fields[0])
	// Output:
	// body /version must satisfy min=1
	// body /items/1/sku is required
	// body /items/1/quantity must satisfy max=1000
	// query /limit: must satisfy max=100
}
