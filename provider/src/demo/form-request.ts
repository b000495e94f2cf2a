/** Reads what form an answer shall have: a tool's call, JSON by a schema, or plain text. */
import { RequestError } from "./errors.ts";
import { type Fields, isObject } from "./fields.ts";
import { isFunctionWord, stemsOf, wordsOf } from "./words.ts";

/** `schema` undefined: any JSON object. */
export type AnswerForm =
  | { readonly kind: "text" }
  | { readonly kind: "json"; readonly schema: unknown }
  | { readonly kind: "call"; readonly name: string; readonly schema: unknown };

/** The tail of a conversation, as far as the choice of a form depends on it. */
export type Tail = { readonly role: string; readonly text: string };

type Tool = { readonly name: string; readonly description: string; readonly schema: unknown };

const ANY_OBJECT = { type: "object", properties: { answer: { type: "string" } } };
const MAX_TOOLS = 128;

/**
 * A tool is called when the body demands one, or when it is left to the model and the user's last words have something
 * in common with the tool's name or description. After a tool has answered, the model speaks.
 */
export function readForm(body: Fields, last: Tail | undefined): AnswerForm {
  const tools = readTools(body["tools"]);
  const { tool_choice: choice } = body;
  const named = isObject(choice) && isObject(choice["function"]) ? choice["function"]["name"] : undefined;
  const tool =
    named !== undefined
      ? tools.find(({ name }) => name === named)
      : choice === "required"
        ? (likeliest(tools, last) ?? tools[0])
        : choice === "none"
          ? undefined
          : likeliest(tools, last);
  if (named !== undefined && !tool)
    throw new RequestError("'tool_choice' names a function that 'tools' does not have.", "tool_choice");
  if (tool) return { kind: "call", name: tool.name, schema: tool.schema };
  return readFormat(body["response_format"]);
}

function readTools(value: unknown): readonly Tool[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || value.length > MAX_TOOLS)
    throw new RequestError(`'tools' must be an array of at most ${MAX_TOOLS} tools.`, "tools");
  return value.map((tool: unknown, i) => {
    const called = isObject(tool) && isObject(tool["function"]) ? tool["function"] : {};
    const { name, description, parameters } = called;
    if (typeof name !== "string" || name.length === 0)
      throw new RequestError(`'tools[${i}].function.name' must be a string.`, `tools[${i}].function.name`);
    return {
      name,
      description: typeof description === "string" ? description : "",
      schema: parameters ?? {},
    };
  });
}

function likeliest(tools: readonly Tool[], last: Tail | undefined): Tool | undefined {
  if (last?.role !== "user") return undefined;
  const said = new Set(stemsOf(last.text));
  const near = ({ name, description }: Tool) =>
    stemsOf(`${name.replace(/[^\p{L}\p{N}]+/gu, " ")} ${description}`).filter((stem) => said.has(stem))
      .length;
  const [best] = tools.filter((tool) => near(tool) > 0).sort((a, b) => near(b) - near(a));
  return best;
}

function readFormat(value: unknown): AnswerForm {
  if (value === undefined || value === null) return { kind: "text" };
  if (!isObject(value)) throw new RequestError("'response_format' must be an object.", "response_format");
  if (value["type"] === "json_object") return { kind: "json", schema: ANY_OBJECT };
  if (value["type"] !== "json_schema") return { kind: "text" };
  const { json_schema: form } = value;
  if (!isObject(form) || !isObject(form["schema"]))
    throw new RequestError("'response_format.json_schema.schema' must be an object.", "response_format");
  return { kind: "json", schema: form["schema"] };
}

/** Words to fill a form in with: names first, then whatever else carries meaning. */
export function wordsToFillIn(text: string): readonly string[] {
  const words = text.match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
  const isName = (word: string, place: number) => place > 0 && /^\p{Lu}/u.test(word);
  const rest = wordsOf(text).filter((word) => !isFunctionWord(word));
  return [...words.filter(isName), ...rest];
}
