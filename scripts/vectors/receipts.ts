import { toHex, utf8 } from "@aimo/protocol/bytes";
import {
  binaryResponseHash,
  embeddingsResponseHash,
  requestHash,
  type TextChoice,
  textResponseHash,
} from "@aimo/protocol/receipts";
import { type Hex, keccak256 } from "viem";
import type { Case } from "./case.ts";

const REQUESTS: readonly {
  readonly name: string;
  userId: number;
  channelEpoch: number;
  nonce: Hex;
  body: string;
}[] = [
  { name: "an empty body", userId: 1, channelEpoch: 1, nonce: `0x${"00".repeat(16)}`, body: "" },
  {
    name: "a chat",
    userId: 7,
    channelEpoch: 3,
    nonce: "0x000102030405060708090a0b0c0d0e0f",
    body: '{"model":"demo-text","messages":[{"role":"user","content":"Hello, world!"}]}',
  },
  {
    name: "the same chat with other spaces",
    userId: 7,
    channelEpoch: 3,
    nonce: "0x000102030405060708090a0b0c0d0e0f",
    body: '{ "model": "demo-text", "messages": [{ "role": "user", "content": "Hello, world!" }] }',
  },
  {
    name: "highest ids",
    userId: 2 ** 32 - 1,
    channelEpoch: 2 ** 16 - 1,
    nonce: `0x${"ff".repeat(16)}`,
    body: "¿Qué tal? 你好 🌍",
  },
];

const TEXTS: readonly { readonly name: string; readonly choices: readonly TextChoice[] }[] = [
  { name: "no choice", choices: [] },
  { name: "an empty text", choices: [{ text: "" }] },
  { name: "a text", choices: [{ text: "Hello!" }] },
  { name: "two texts", choices: [{ text: "Hel" }, { text: "lo!" }] },
  { name: "letters of many bytes", choices: [{ text: "¿Qué tal? 你好 🌍" }] },
  {
    name: "a tool call",
    choices: [{ text: "", tools: [{ name: "weather", arguments: '{"city":"Oslo"}' }] }],
  },
  {
    name: "text, two tools and another choice",
    choices: [
      {
        text: "Let me look.",
        tools: [
          { name: "weather", arguments: '{"city":"Oslo"}' },
          { name: "clock", arguments: "{}" },
        ],
      },
      { text: "I do not know." },
    ],
  },
];

const BINARIES: readonly { readonly name: string; readonly items: readonly Hex[] }[] = [
  { name: "no item", items: [] },
  { name: "an empty item", items: ["0x"] },
  { name: "one item", items: ["0x89504e470d0a1a0a"] },
  { name: "two items", items: ["0x89504e47", "0x0d0a1a0a"] },
];

const EMBEDDINGS: readonly { readonly name: string; readonly vectors: readonly (readonly number[])[] }[] = [
  { name: "one number", vectors: [[1]] },
  { name: "numbers that round", vectors: [[0.1, -0.2, 1 / 3, 1e-45, 3.4e38]] },
  {
    name: "negative zero and two vectors",
    vectors: [
      [-0, 0.5],
      [2, -2],
    ],
  },
];

/** What binds a receipt to a request and to a response. `items` are the bytes whose hashes are concatenated and hashed. */
export function receiptCases(): Case[] {
  return [
    ...REQUESTS.map(({ name, userId, channelEpoch, nonce, body }) => ({
      kind: "request",
      name,
      userId: String(userId),
      channelEpoch: String(channelEpoch),
      nonce,
      body: toHex(utf8(body)),
      bodyHash: keccak256(utf8(body)),
      requestHash: requestHash({ userId, channelEpoch, nonce, body: utf8(body) }),
    })),
    ...TEXTS.map(({ name, choices }) => ({
      kind: "text",
      name,
      choices: JSON.stringify(choices),
      items: choices.flatMap(({ text, tools }) => [
        toHex(utf8(text)),
        toHex(utf8((tools ?? []).map((tool) => tool.name + tool.arguments).join(""))),
      ]),
      responseHash: textResponseHash(choices),
    })),
    ...BINARIES.map(({ name, items }) => ({
      kind: "binary",
      name,
      items,
      responseHash: binaryResponseHash(items.map((item) => Buffer.from(item.slice(2), "hex"))),
    })),
    ...EMBEDDINGS.map(({ name, vectors }) => ({
      kind: "embeddings",
      name,
      vectors: JSON.stringify(
        vectors.map((vector) => vector.map((x) => (Object.is(x, -0) ? "-0" : String(x)))),
      ),
      items: vectors.map((vector) => toHex(new Uint8Array(Float32Array.from(vector).buffer))),
      responseHash: embeddingsResponseHash(vectors),
    })),
  ];
}
