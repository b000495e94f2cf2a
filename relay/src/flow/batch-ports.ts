import type { FileRecord, JobRecord } from "../core/batch-job.ts";

/** What batches of requests need from the store. */

export type FileAbout = Pick<FileRecord, "userId" | "filename" | "purpose" | "expiresAt"> & {
  /** Replaces a file of this id; a new id when absent. */
  readonly id?: string;
};

/** store/: files of accounts, bounded in size, number and time. */
export interface Files {
  /** Durable when it resolves. Throws `payload_too_large` when the account or the relay has no room. */
  create(about: FileAbout, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<FileRecord>;
  /** Throws `not_found`. Another account's file is not found. */
  /** Throws `not_found`; `param` is where the request has the id. */
  require(userId: number, id: string, param?: string): FileRecord;
  /** The oldest first. */
  list(userId: number): readonly FileRecord[];
  read(id: string): AsyncIterable<Uint8Array>;
  remove(id: string): Promise<void>;
  /** Bytes that an account has stored. */
  usedBy(userId: number): number;
  /** Removes what has expired, but for files that are in use. */
  sweep(inUse: ReadonlySet<string>): Promise<void>;
}

/** A request of a batch that has ended, as its line in one of the two files. */
export type JobLine = { readonly isError: boolean; readonly text: string };

/** store/: batches, and their lines that have ended. */
export interface Jobs {
  /** The oldest first. */
  list(userId: number): readonly JobRecord[];
  active(): readonly JobRecord[];
  find(userId: number, id: string): JobRecord | undefined;
  save(job: JobRecord): void;
  /**
   * Keeps a line. Written together with what was said to the ledger in the same turn: after a crash either the request is
   * charged and its line is known, or neither.
   */
  saveLine(id: string, no: number, line: JobLine): void;
  /** Numbers of the lines that have ended, and which of them are errors. Only lines that are on disk. */
  endedLines(id: string): Promise<ReadonlyMap<number, { readonly isError: boolean; readonly bytes: number }>>;
  /** Lines for one of the two files, in order. */
  lines(id: string, isError: boolean): AsyncGenerator<string>;
  removeLines(id: string): Promise<void>;
  flushed(): Promise<void>;
  /** Forgets batches that ended before a time. */
  sweep(before: number): void;
}

export type BatchLimits = {
  /** Largest input file, bytes; lines in one; bytes stored by one account and in all. */
  readonly maxFileBytes: number;
  readonly maxLines: number;
  readonly maxStoredPerAccount: number;
  readonly maxStored: number;
  /** Lines in flight, in all and per account. */
  readonly maxInFlight: number;
  readonly maxInFlightPerAccount: number;
  /** Lines wait while more than this part of the relay's requests in flight is used. */
  readonly roomPercent: number;
  /** Days that files are kept. */
  readonly keepDays: number;
};
