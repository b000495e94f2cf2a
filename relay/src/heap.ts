import { setFlagsFromString } from "node:v8";

/**
 * For the whole process: V8 makes nothing in its old space at once. It does so where objects once lived long, and here
 * the records of a request do, until they are posted; but what such an object refers to is then kept as well until the
 * next full collection, and of a request that is everything (docs/decisions/0017-heap.md).
 */
export function tuneHeap(): void {
  setFlagsFromString("--no-allocation-site-pretenuring");
}
