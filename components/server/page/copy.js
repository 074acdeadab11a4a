// The request at hand as code. A key is named, never written out.

import { hasKey, method } from "./api.js";

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function asCurl(name, version, body) {
  const url = new URL(method(name, version, "generate"), location.href).href;
  return [
    `curl --no-buffer ${quoted(url)}`,
    `  --header 'Content-Type: application/json'`,
    ...(hasKey() ? [`  --header "Authorization: Bearer $API_KEY"`] : []),
    `  --data ${quoted(JSON.stringify({ ...body, stream: true }))}`,
  ].join(" \\\n");
}

export function asPython(name, version, body) {
  const url = new URL(method(name, version, "generate"), location.href).href;
  const headers = [`"Content-Type": "application/json"`];
  if (hasKey()) headers.push(`"Authorization": f"Bearer {os.environ['API_KEY']}"`);
  // JSON of strings and numbers is Python, too; lone surrogates, which are not, are no prompt either.
  const pairs = Object.entries(body).map(([field, value]) => `    ${JSON.stringify(field)}: ${JSON.stringify(value)},`);
  return [
    "import json",
    ...(hasKey() ? ["import os"] : []),
    "import urllib.request",
    "",
    "body = {",
    ...pairs,
    "}",
    "request = urllib.request.Request(",
    `    ${JSON.stringify(url)},`,
    "    data=json.dumps(body).encode(),",
    `    headers={${headers.join(", ")}},`,
    ")",
    "with urllib.request.urlopen(request) as answer:",
    '    for text in json.load(answer)["texts"]:',
    '        print(text["text"])',
    "",
  ].join("\n");
}
