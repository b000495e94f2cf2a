/** What surrounds a command: everything it may touch besides the network and the files it is told of. */
export type CliContext = {
  /** How this program was invoked, for hints that can be copied: "aimo", or `node cli/bin/aimo.mjs` in a clone. */
  readonly program: string;
  /** Results. */
  readonly write: (text: string) => void;
  /** Progress and remarks, so that results stay clean. */
  readonly note: (line: string) => void;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Folder the command was started in. */
  readonly folder: string;
  /** Folder of credentials and records. */
  readonly configFolder: string;
  /** Asks the person at the terminal for a secret; undefined: there is nobody. */
  readonly askSecret: ((question: string) => Promise<string>) | undefined;
  /** All of standard input, when it is not a terminal. */
  readonly readInput: (() => Promise<string>) | undefined;
  /** Fires when the person presses Ctrl-C. */
  readonly signal: AbortSignal;
};
