// Calls every operation of examples/orders by its generated types, and provokes each refusal that it can.
//
//	ADA=… BOB=… STAFF=… PARTNER=… node orders.js URL DOCUMENT
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./orders.schema.js";
import { first, must, strangers, Witness } from "./witness.js";

const [, , baseUrl, file] = process.argv as [string, string, string, string];
const witness = new Witness(file);

function as(token: string | undefined): Client<paths> {
  const client = createClient<paths>({ baseUrl, headers: token ? { Authorization: `Bearer ${token}` } : {} });
  client.use(witness);
  return client;
}
const ada = as(process.env.ADA), bob = as(process.env.BOB), staff = as(process.env.STAFF), partner = as(process.env.PARTNER);

const tea: components["schemas"]["OrderIn"] = { items: [{ sku: "tea", quantity: 2, cents: 150 }] };
const create = async () => must(await ada.POST("/orders", { body: tea }));
const at = (id: number) => ({ params: { path: { id } } });

async function orders(): Promise<void> {
  const { id, version } = await create();
  must(await ada.GET("/orders/{id}", at(id)));
  const page = must(await ada.GET("/orders", { params: { query: { state: "open", limit: 1 } } }));
  if (page.orders[0]?.id !== id) throw new Error("another order is the newest");
  must(await ada.PUT("/orders/{id}", { ...at(id), body: { version, ...tea, note: "soon" } }));
  witness.expect(409, await ada.PUT("/orders/{id}", { ...at(id), body: { version, ...tea } }));
  witness.expect(403, await ada.POST("/orders/{id}/send", at(id)));
  must(await staff.POST("/orders/{id}/send", at(id)));
  witness.expect(409, await staff.POST("/orders/{id}/send", at(id)));
  witness.expect(409, await ada.POST("/orders/{id}/cancel", at(id)));
  must(await ada.POST("/orders/{id}/cancel", at((await create()).id)));
  witness.expect(404, await bob.GET("/orders/{id}", at(id)));
  witness.expect(404, await bob.PUT("/orders/{id}", { ...at(id), body: { version, ...tea } }));
  witness.expect(404, await bob.POST("/orders/{id}/cancel", at(id)));
  witness.expect(404, await staff.POST("/orders/{id}/send", at(999_999)));
  witness.expect(422, await ada.POST("/orders", { body: { items: [] } }));
  witness.expect(422, await ada.GET("/orders", { params: { query: { limit: 1000 } } }));

  const order = { reference: crypto.randomUUID(), customer: "ada", ...tea };
  witness.expect(201, await partner.POST("/import", { body: order }));
  witness.expect(200, await partner.POST("/import", { body: order }));
  witness.expect(403, await ada.POST("/import", { body: order }));
}

async function attachments(): Promise<void> {
  const { id } = await create();
  const attach = (content: string, order = id) =>
    ada.POST("/orders/{id}/attachments", {
      ...at(order),
      body: { file: "" },
      bodySerializer: () => {
        const form = new FormData();
        form.set("file", new Blob([content]), "invoice.pdf");
        return form;
      },
    });
  const { id: attachment } = must(await attach("%PDF-1.7\n"));
  must(await ada.GET("/orders/{id}/attachments/{attachment}", { params: { path: { id, attachment } }, parseAs: "blob" }));
  witness.expect(404, await ada.GET("/orders/{id}/attachments/{attachment}", { params: { path: { id, attachment: 999_999 } } }));
  witness.expect(415, await attach("<html>"));
  witness.expect(404, await attach("%PDF-1.7\n", 999_999));
}

async function jobs(): Promise<void> {
  const header = { "Idempotency-Key": crypto.randomUUID() };
  const done = must(await ada.POST("/jobs/export", { params: { header, query: { wait: "20s" } }, body: { state: "open" } }));
  witness.expect(422, await ada.POST("/jobs/export", { params: { header }, body: { state: "sent" } }));
  const path = { id: done.id };
  must(await ada.GET("/jobs/{id}", { params: { path } }));
  must(await ada.GET("/jobs/{id}/result", { params: { path } }));
  must(await ada.GET("/jobs/{id}/events", { params: { path }, parseAs: "text" }));
  must(await ada.GET("/jobs", { params: { query: { state: ["succeeded"], limit: 1 } } }));
  must(await ada.GET("/jobs/openapi.json"));
  await first(await ada.GET("/jobs/events", { parseAs: "stream" }));
  witness.expect(400, await ada.GET("/jobs", { params: { query: { limit: 5000 } } }));
  witness.expect(409, await ada.DELETE("/jobs/{id}", { params: { path } }));
  witness.expect(409, await ada.POST("/jobs/{id}/retry", { params: { path } }));

  for (let tries = 0; ; tries++) { // until one is cancelled before it is done
    const path = { id: must(await ada.POST("/jobs/export", { body: {} })).id };
    const { response } = await ada.DELETE("/jobs/{id}", { params: { path } });
    if (!response.ok && tries < 100) continue;
    witness.expect(200, { response });
    witness.expect(409, await ada.GET("/jobs/{id}/result", { params: { path } }));
    witness.expect(202, await ada.POST("/jobs/{id}/retry", { params: { path } }));
    break;
  }
}

async function others(): Promise<void> {
  must(await ada.POST("/rpc", { body: { jsonrpc: "2.0", id: 1, method: "orders.list", params: [] } }));
  witness.expect(204, await ada.POST("/rpc", { body: { jsonrpc: "2.0", method: "orders.list" } }));
  await first(await ada.GET("/events", { parseAs: "stream" }));
  must(await ada.GET("/live"));
  must(await ada.GET("/ready"));
  witness.expect(426, await ada.GET("/ws"));
  await witness.handshake(baseUrl, "/ws");
}

await orders();
await attachments();
await jobs();
await others();
await strangers(witness, ada, [as(undefined), as("stolen")]);
witness.verdict();
