import { Link } from "../../../relay/src/workers/link.ts";
import type {
  MainNews,
  MainQuestions,
  WorkerNews,
  WorkerQuestions,
} from "../../../relay/src/workers/messages.ts";

/** A worker that holds for one request and answers pings, but ends nothing when it is told to. */

const link = new Link<WorkerQuestions, WorkerNews, MainQuestions, MainNews>(process, {
  questions: { ping: () => null },
  news: {
    start: (message) => {
      link.tell("ready", null);
      void link.ask("open", message as WorkerQuestions["open"][0]);
    },
    connection: () => {},
    offers: () => {},
    behind: () => {},
    sticky: () => {},
    ejected: () => {},
    stop: () => {},
    close: () => process.exit(0),
  },
  onFault: () => process.exit(1),
});
process.on("disconnect", () => process.exit(0));
