/**
 * Where a figure leads: to the list of exactly those quotes that were counted for it. Pure. What is counted, and of which
 * time, is told by docs/analytics.md.
 */
import type { View } from "./analytics";
import { addressOf, type Moment, NO_FILTER } from "./quote-filter";

const HOUR_S = 3_600;

/** Which of a dashboard's quotes; nothing: all that were made in its time. */
export interface Counted {
  /** As it is now. */
  readonly status?: string;
  readonly state?: string;
  readonly product?: string;
  /** Became that at some time since it was made. */
  readonly reached?: "quoted" | "bound";
  /** What happened in one step of the chart, to quotes however old. `at`: its begin, Unix seconds. */
  readonly step?: { readonly what: "created" | "quoted" | "bound"; readonly at: number; readonly stepS: number };
}

/** `asOf`: when it was counted, Unix seconds. What came after that is not in the list either. */
export function listAddress(view: View, asOf: number, counted: Counted): string {
  const since = asOf - view.hours * HOUR_S;
  return addressOf("/quotes", {
    ...NO_FILTER,
    statuses: counted.status === undefined ? [] : [counted.status],
    state: counted.state ?? view.state,
    product: counted.product ?? view.product,
    moments: counted.step === undefined ? made(since, asOf, counted) : happened(since, asOf, counted.step),
  });
}

type Moments = Partial<Record<Moment, number>>;

function made(since: number, asOf: number, { reached }: Counted): Moments {
  const reachedThen = reached === undefined ? {} : { [`${reached}_from`]: since, [`${reached}_before`]: asOf };
  return { created_from: since, created_before: asOf, ...reachedThen };
}

/** The first step begins with the time that is looked at, and the last one ends when it was counted. */
function happened(since: number, asOf: number, { what, at, stepS }: NonNullable<Counted["step"]>): Moments {
  const before = at < asOf ? Math.min(at + stepS, asOf) : at + stepS;
  return { [`${what}_from`]: Math.max(at, since), [`${what}_before`]: before };
}
