// A witness of what a client asks and is answered. At the end every operation of the document must have been called with
// success, and no answer may be one that the document does not declare: "default" declares nothing here, a 4xx has to be named.
import { readFileSync } from "node:fs";
import { request } from "node:http";
import type { Client, Middleware } from "openapi-fetch";

type Answer = { $ref?: string; content?: Record<string, unknown> };
type Operation = {
  security?: Record<string, string[]>[];
  parameters?: { in: string; name: string; schema?: { type?: string } }[];
  requestBody?: { content: Record<string, unknown> };
  responses: Record<string, Answer>;
};
type Document = {
  paths: Record<string, Record<string, Operation>>;
  components?: { responses?: Record<string, Answer> };
};

const methods = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

export class Witness {
  private readonly document: Document;
  private readonly succeeded = new Set<string>();
  private readonly refused = new Set<string>();
  private readonly faults: string[] = [];

  constructor(file: string) {
    this.document = JSON.parse(readFileSync(file, "utf8"));
  }

  onResponse = ({ request, response, schemaPath }: Parameters<NonNullable<Middleware["onResponse"]>>[0]): undefined => {
    this.note(request.method, schemaPath, response.status, response.headers.get("Content-Type"));
  };

  note(method: string, path: string, status: number, contentType: string | null): void {
    const name = `${method} ${path}`;
    let answer = this.document.paths[path]?.[method.toLowerCase()]?.responses[String(status)];
    if (answer?.$ref) answer = this.document.components?.responses?.[answer.$ref.split("/").pop()!];
    const type = contentType?.split(";")[0];
    if (!answer) this.faults.push(`${name}: ${status} is not declared`);
    else if (type && !(type in (answer.content ?? {}))) this.faults.push(`${name}: ${status} is not declared as ${type}`);
    if (status < 400) this.succeeded.add(name);
    else this.refused.add(`${name} ${status}`);
  }

  // expect notes a fault when the answer has another status than what the client wanted.
  expect(status: number, answer: { response: Response; error?: unknown }): void {
    if (answer.response.status === status) return;
    this.faults.push(`${answer.response.url}: ${answer.response.status}, want ${status}: ${JSON.stringify(answer.error)}`);
  }

  // operations are those of the document.
  *operations(): Generator<{ method: string; path: string; operation: Operation }> {
    for (const [path, item] of Object.entries(this.document.paths)) {
      for (const method of methods) {
        const operation = item[method];
        if (operation) yield { method: method.toUpperCase(), path, operation };
      }
    }
  }

  // handshake opens a WebSocket, which fetch cannot, and closes it.
  handshake(baseUrl: string, path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const headers = { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" };
      const opening = request(baseUrl + path, { headers });
      opening.on("upgrade", (answer, socket) => {
        socket.destroy();
        this.note("GET", path, answer.statusCode!, null);
        resolve();
      });
      opening.on("response", (answer) => reject(new Error(`${path}: ${answer.statusCode}`)));
      opening.on("error", reject);
      opening.end();
    });
  }

  // verdict says what was seen, and ends the process with 1 when something was wrong.
  verdict(): never {
    const all = [...this.operations()].map(({ method, path }) => `${method} ${path}`);
    for (const name of all) if (!this.succeeded.has(name)) this.faults.push(`${name} had no success`);
    for (const fault of this.faults) console.error(fault);
    console.log(`openapi-fetch: ${this.succeeded.size} of ${all.length} operations, ${this.refused.size} kinds of refusals`);
    process.exit(this.faults.length > 0 ? 1 : 0);
  }
}

// must is what was answered, which has to be there.
export function must<T>(answer: { data?: T | undefined; error?: unknown; response: Response }): T {
  if (answer.data === undefined) throw new Error(`${answer.response.url}: ${answer.response.status} ${JSON.stringify(answer.error)}`);
  return answer.data;
}

// first is the beginning of a stream, which is then left.
export async function first(answer: { data?: unknown; error?: unknown; response: Response }): Promise<void> {
  await (must(answer) as ReadableStream).cancel();
}

// What any operation may be asked by somebody who has not read the document, or whom the server does not know.
export async function strangers<Paths extends object>(witness: Witness, known: Client<Paths>, unknown: Client<Paths>[]): Promise<void> {
  type Ask = (method: string, path: string, init: object) => Promise<{ response: Response; error?: unknown }>;
  const ask = known.request as unknown as Ask;
  for (const { method, path, operation } of witness.operations()) {
    const params = { path: Object.fromEntries([...path.matchAll(/{(\w+)}/g)].map(([, name]) => [name, "none"])) };
    const init = { params, parseAs: "text", body: operation.requestBody ? {} : undefined };
    if (operation.security?.length && operation.security.every((schemes) => Object.keys(schemes).length > 0)) {
      for (const client of unknown) witness.expect(401, await (client.request as unknown as Ask)(method, path, init));
    }
    if (path.includes("{")) await ask(method, path, init); // 404 or 422
    if (!operation.requestBody) continue;
    await ask(method, path, { ...init, bodySerializer: () => "{" }); // 400
    await ask(method, path, { ...init, headers: { "Content-Type": "text/plain" } }); // 415
    await ask(method, path, { ...init, bodySerializer: () => `"${"x".repeat(6 << 20)}"` }); // 413
    await ask(method, path, { ...init, body: { unknown: true } }); // 422
  }
}
