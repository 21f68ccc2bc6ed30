// Package stats holds what the counts of the toolkit's packages have in common: the histogram of
// durations that wsx, wsxclient, tasks, executor and asgi have in their Stats.
//
// The counts of a Stats are read without stopping what they count, so those of one snapshot may be
// some operations apart, unless its documentation says otherwise. A counter never falls while its
// owner lives; a gauge says what is now. All of them are valid JSON, for encoding/json and JSON v2
// alike. What a count is broken down by has a bound: what no program registered and no protocol
// names is counted as [Other].
package stats

// Other is what is counted under no name of its own: a method that nobody registered, an error code
// that the protocol does not have.
const Other = "_other"
