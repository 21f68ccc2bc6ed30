// Calls every operation of examples/quickstart by its generated types, and provokes each refusal that it can.
//
//	node quickstart.js URL DOCUMENT
import createClient from "openapi-fetch";
import type { paths } from "./quickstart.schema.js";
import { first, must, strangers, Witness } from "./witness.js";

const [, , baseUrl, file] = process.argv as [string, string, string, string];
const witness = new Witness(file);
const client = createClient<paths>({ baseUrl });
client.use(witness);

if (must(await client.POST("/add", { body: { a: 2, b: 40 } })).sum !== 42) throw new Error("2 and 40 is not 42");
must(await client.GET("/", { parseAs: "text" }));
must(await client.GET("/ready"));
witness.expect(426, await client.GET("/ws"));
await witness.handshake(baseUrl, "/ws");

const done = must(await client.POST("/tasks/primes", { params: { query: { wait: "20s" } }, body: { below: 100 } }));
const path = { id: done.id };
witness.expect(422, await client.POST("/tasks/primes", { body: { below: -1 } }));
must(await client.GET("/tasks/{id}", { params: { path } }));
const result = must(await client.GET("/tasks/{id}/result", { params: { path } }));
if (!("primes" in result) || result.primes !== 25) throw new Error(`the primes below 100 are ${JSON.stringify(result)}`);
must(await client.GET("/tasks/{id}/events", { params: { path }, parseAs: "text" }));
must(await client.GET("/tasks", { params: { query: { state: ["succeeded"] } } }));
must(await client.GET("/tasks/openapi.json"));
await first(await client.GET("/tasks/events", { parseAs: "stream" }));
witness.expect(409, await client.DELETE("/tasks/{id}", { params: { path } }));

// One that takes long enough to be cancelled.
const long = { id: must(await client.POST("/tasks/primes", { body: { below: 10_000_000 } })).id };
must(await client.DELETE("/tasks/{id}", { params: { path: long } }));
witness.expect(409, await client.GET("/tasks/{id}/result", { params: { path: long } }));
witness.expect(202, await client.POST("/tasks/{id}/retry", { params: { path: long } }));
must(await client.DELETE("/tasks/{id}", { params: { path: long } }));

await strangers(witness, client, []);
witness.verdict();
