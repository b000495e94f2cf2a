/** Something no test reaches, and why none can. */
export type Exception = {
  /** Below contracts/. */
  readonly file: string;
  /** The line without its indent, or the condition. */
  readonly code: string;
  /** Undefined: the line is never run. */
  readonly outcome?: "true" | "false";
  readonly reason: string;
};

export const EXCEPTIONS: readonly Exception[] = [];
