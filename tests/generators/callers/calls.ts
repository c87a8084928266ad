// Calls the edge at a URL by each client in TypeScript, and prints what came back as JSON.

import createClient from "openapi-fetch";

import { createClient as createHeyClient } from "./hey_api_everything/client";
import * as hey from "./hey_api_everything";
import * as og from "./openapi_generator_typescript_fetch_everything";
import type { paths } from "./openapi_typescript_everything";

const url = process.argv[2]!;
const key = "00000000-0000-0000-0000-000000000001";
const book = { title: "Emma", kind: "KIND_ONE", size: "5000000000", weight: 1.5 } as const;
const query = { kinds: ["KIND_ONE", "2"], kind: "KIND_ONE", sizes: ["1", "2"], flag: true, "filter.title": "x" };
const form = { name: "ada", password: "secret", number: 7 };

type Results = Record<string, unknown>;
type Book = { title?: string; kind?: unknown; size?: string; weight?: unknown };
const shown = (each: Book | undefined) => [each?.title, each?.kind, each?.size, each?.weight];
const listed = (all: Book[] | undefined) => all?.map((each) => [each.title, each.kind, each.weight]);

async function withOpenapiTypescript(): Promise<Results> {
  const client = createClient<paths>({ baseUrl: url });
  const results: Results = {};
  const created = await client.POST("/v1/shelves/{shelf}/books", {
    params: { path: { shelf: "novels" }, query: { resourceId: "emma" }, header: { "Idempotency-Key": key } },
    body: book,
  });
  results["create"] = shown(created.data);
  const found = await client.GET("/v1/shelves/{shelf}/books", { params: { path: { shelf: "novels" }, query } });
  results["list"] = listed(found.data?.resources);
  const uploaded = await client.PUT("/v1/uploads/{name}", {
    params: { path: { name: "a file" } },
    body: "raw bytes",
    bodySerializer: (body) => body,
    headers: { "Content-Type": "application/octet-stream" },
    parseAs: "text",
  });
  results["upload"] = uploaded.data;
  const signed = await client.POST("/v1/forms", { body: form });
  results["sign in"] = [signed.data?.name, signed.data?.password, signed.data?.number];
  const deleted = await client.DELETE("/v1/shelves/{shelf}/books/{book}", {
    params: { path: { shelf: "novels", book: "emma" } },
  });
  results["delete"] = deleted.response.status === 204 ? null : deleted.error;
  const missing = await client.GET("/v1/shelves/{shelf}/books/{book}", {
    params: { path: { shelf: "novels", book: "none" } },
  });
  // Who asks for problem details gets another type.
  const failed = missing.error !== undefined && "error" in missing.error ? missing.error.error.status : undefined;
  results["missing"] = [missing.response.status, failed];
  return results;
}

async function withHeyApi(): Promise<Results> {
  const client = createHeyClient({ baseUrl: url });
  const results: Results = {};
  const created = await hey.everyCreate({
    client,
    path: { shelf: "novels" },
    query: { resourceId: "emma" },
    headers: { "Idempotency-Key": key },
    body: book,
  });
  results["create"] = shown(created.data);
  const found = await hey.everyList({ client, path: { shelf: "novels" }, query });
  results["list"] = listed(found.data?.resources);
  const uploaded = await hey.everyUpload({ client, path: { name: "a file" }, body: new Blob(["raw bytes"]) });
  results["upload"] = await (uploaded.data as Blob).text();
  const signed = await hey.everySignIn({ client, body: form });
  results["sign in"] = [signed.data?.name, signed.data?.password, signed.data?.number];
  const deleted = await hey.everyDelete({ client, path: { shelf: "novels", book: "emma" } });
  results["delete"] = deleted.response?.status === 204 ? null : deleted.error;
  const missing = await hey.everyGet({ client, path: { shelf: "novels", book: "none" } });
  const failed = missing.error !== undefined && "error" in missing.error ? missing.error.error.status : undefined;
  results["missing"] = [missing.response?.status, failed];
  return results;
}

async function withOpenapiGenerator(): Promise<Results> {
  const api = new og.EveryApi(new og.Configuration({ basePath: url }));
  const results: Results = {};
  const created = await api.everyCreate({
    shelf: "novels",
    everyV1ResourceInput: book,
    resourceId: "emma",
    idempotencyKey: key,
  });
  results["create"] = shown(created);
  const { "filter.title": filterTitle, ...rest } = query;
  results["list"] = listed((await api.everyList({ shelf: "novels", filterTitle, ...rest })).resources);
  const uploaded = await api.everyUpload({ name: "a file", body: new Blob(["raw bytes"]) });
  results["upload"] = await uploaded.text();
  const signed = await api.everySignIn({ everyV1FormInput: form });
  results["sign in"] = [signed.name, signed.password, signed.number];
  results["delete"] = (await api.everyDelete({ shelf: "novels", book: "emma" })) ?? null;
  try {
    await api.everyGet({ shelf: "novels", book: "none" });
  } catch (error) {
    const response = (error as og.ResponseError).response;
    results["missing"] = [response.status, og.ModelErrorFromJSON(await response.json()).error.status];
  }
  return results;
}

async function main(): Promise<void> {
  const results = {
    "openapi-typescript": await withOpenapiTypescript(),
    "@hey-api/openapi-ts": await withHeyApi(),
    "openapi-generator": await withOpenapiGenerator(),
  };
  console.log(JSON.stringify(results));
}

void main();
