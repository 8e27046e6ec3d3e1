// The HTTP API, read from the server's own description of it.

import { html } from "./dom.js";

const main = document.getElementById("main");
let schemas = {};

/** A schema, or the one that it refers to. */
function resolved(schema = {}) {
  return schema.$ref ? { ...schemas[schema.$ref.split("/").at(-1)], ...(schema.default === undefined ? {} : { default: schema.default }) } : schema;
}

/** The name of what a schema describes. */
function type(schema) {
  const name = schema.$ref?.split("/").at(-1);
  if (name) return name;
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return choices.map(type).join(" or ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" or ");
  if (schema.items) return `list of ${type(schema.items)}`;
  return schema.type ?? "anything";
}

/** Text in which `names` are code. */
function prose(text) {
  return text.split("`").map((part, i) => (i % 2 ? html("code", {}, part) : part));
}

/** The bounds of a number or a list. */
function bounds(schema) {
  const found = [["from", schema.minimum], ["above", schema.exclusiveMinimum], ["to", schema.maximum], ["below", schema.exclusiveMaximum], ["at least", schema.minItems], ["at most", schema.maxItems]];
  return found.filter(([, value]) => value !== undefined).map(([word, value]) => `${word} ${value}`).join(" ");
}

/** A smallest example of what a schema asks for. */
function example(given) {
  const schema = resolved(given), choices = schema.oneOf ?? schema.anyOf;
  if (choices) return example(choices[0]);
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  if (schema.type === "array") return [example(schema.items)];
  if (schema.type === "object") return Object.fromEntries((schema.required ?? []).map((name) => [name, example(schema.properties[name])]));
  if (schema.type === "string") return "TEXT";
  if (schema.type === "boolean") return true;
  return Math.min(schema.maximum ?? 1, Math.max(schema.minimum ?? 1, 1));
}

function command(path, method, operation) {
  const required = (operation.parameters ?? []).filter((one) => one.in === "query" && one.required);
  const query = required.map((one) => `${one.name}=${one.name.toUpperCase()}`).join("&");
  const address = `${location.origin}${path.replace(/\{(\w+)\}/g, (_, name) => name.toUpperCase())}${query ? `?${query}` : ""}`;
  const body = operation.requestBody?.content ?? {}, json = body["application/json"];
  const parts = ["curl"];
  if (method === "post") parts.push("-H 'X-Neocog: 1'");
  if (json) parts.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(example(json.schema))}'`);
  else if (operation.requestBody) parts.push("--data-binary @picture.png");
  return [...parts, query ? `'${address}'` : address].join(" ");
}

function fields(operation, name) {
  const json = operation.requestBody?.content?.["application/json"], rows = [];
  for (const one of operation.parameters ?? []) rows.push([one.name, one.in, one.schema, one.required]);
  const body = resolved(json?.schema);
  for (const [name, schema] of Object.entries(body.properties ?? {})) rows.push([name, "body", schema, body.required?.includes(name)]);
  return table(`Fields of ${name}`, ["name", "in", "type", "bounds"], rows.map(([name, where, schema, required]) => [name, where, type(schema), about(schema, required)]));
}

function about(schema, required) {
  const value = required || schema.default === undefined ? "" : `default ${JSON.stringify(schema.default)}`;
  return [bounds(schema), required ? "required" : value].filter(Boolean).join(", ");
}

function table(label, heads, rows) {
  if (!rows.length) return null;
  return html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, html("table", { class: "rows" },
    html("thead", {}, html("tr", {}, heads.map((head) => html("th", { scope: "col" }, head)))),
    html("tbody", {}, rows.map(([name, ...others]) => html("tr", {}, html("th", { scope: "row" }, html("code", {}, name)), others.map((cell) => html("td", {}, cell)))))));
}

function operation(path, method, one) {
  const answer = type(one.responses["200"].content?.["application/json"]?.schema ?? {});
  const picture = one.requestBody && !one.requestBody.content["application/json"];
  return html("section", { class: "operation" },
    html("h3", {}, html("code", {}, `${method.toUpperCase()} ${path}`)),
    html("p", {}, prose(one.description ?? one.summary)), fields(one, `${method.toUpperCase()} ${path}`),
    html("p", { class: "muted" }, picture ? "The body is a picture. " : "", "Answers ", answer in schemas ? html("a", { href: `#${answer}` }, answer) : answer, "."),
    html("pre", { class: "scroll", tabindex: 0, role: "region", "aria-label": `An example of ${method.toUpperCase()} ${path}` }, html("code", {}, command(path, method, one))));
}

function models() {
  return Object.entries(schemas).filter(([, schema]) => schema.properties && !/Validation|HTTP/.test(schema.title)).map(([name, schema]) => html("section", { class: "operation" },
    html("h3", { id: name }, html("code", {}, name)), schema.description ? html("p", {}, prose(schema.description)) : null,
    table(`Fields of ${name}`, ["field", "type", "bounds"], Object.entries(schema.properties).map(([field, one]) => [field, type(one), about(one, schema.required?.includes(field))]))));
}

async function show() {
  const described = await (await fetch("/api/v1/openapi.json")).json();
  schemas = described.components.schemas;
  const found = Object.entries(described.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, one]) => [path, method, one]));
  const tags = [...new Set(found.map(([, , one]) => one.tags?.[0] ?? "other"))];
  main.append(html("h1", {}, "The lab's HTTP API"),
    html("p", { class: "idea" }, prose(described.info.description), ` Version ${described.info.version}; as `, html("a", { href: "/api/v1/openapi.json" }, "OpenAPI"), "."),
    html("p", {}, "What is wrong with a request is said in one line: ", html("code", {}, '{"error": "…"}'), ", with a status from 400 on. 429 means that too many are waiting."),
    ...tags.flatMap((tag) => [html("h2", {}, tag), ...found.filter(([, , one]) => (one.tags?.[0] ?? "other") === tag).map((one) => operation(...one))]),
    html("h2", {}, "Types"), ...models());
}

show();
