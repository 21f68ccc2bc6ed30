// Package pattern is what the protocol says of channels' names and patterns (section 4), and an
// index of patterns.
//
// A name has 1 to 16 tokens joined by dots, 256 bytes at most; a token is of letters, digits and
// _:@-. A pattern may have the wildcards * for exactly one token and > for one or more at its end.
// [Fault] tells what is wrong with either, [Token] makes one token of any string, [Within] compares
// what two patterns stand for, and [Specificity] orders them.
//
// An [Index] finds the patterns that a name matches. A match costs one step a token, however many
// patterns there are and however they overlap; a pattern that comes or goes makes the next matches
// dearer. What the index keeps to be that fast is bounded: 1 MiB, about.
//
// Nothing here fails or logs: but for Fault, the functions take valid names and patterns.
package pattern
