package problem

import "github.com/go-json-experiment/json/jsontext"

// schema is RFC 9457 with this package's own members. Extensions are further members of any kind.
const schema = `{"type":"object","description":"What is wrong (RFC 9457).","properties":{` +
	`"type":{"type":"string","format":"uri-reference","default":"about:blank"},` +
	`"title":{"type":"string"},` +
	`"status":{"type":"integer","minimum":400,"maximum":599},` +
	`"detail":{"type":"string","description":"For people: what is wrong, and what they can do ` +
	`about it."},` +
	`"instance":{"type":"string","format":"uri-reference"},` +
	`"code":{"type":"string","description":"For programs."},` +
	`"retry_after":{"type":"number","minimum":0,"description":"When another try may succeed, in ` +
	`seconds."},` +
	`"errors":{"type":"array","description":"Which parts of the input are ` +
	`wrong.","items":{"type":"object","properties":{` +
	`"in":{"type":"string"},"pointer":{"type":"string","description":"A JSON Pointer (RFC 6901) ` +
	`in there."},"detail":{"type":"string"}},` +
	`"required":["in","pointer","detail"]}},` +
	`"request_id":{"type":"string"}},` +
	`"required":["title","status"]}`

// JSONSchema is the schema of a problem, for the documents of an API.
func (*Error) JSONSchema() jsontext.Value { return jsontext.Value(schema) }
