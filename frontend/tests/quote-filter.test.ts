/** The address of the list of quotes: what it asks for is asked of the server, also what cannot be. */
import { describe, expect, it } from "vitest";

import { filterOf, queryOf } from "../src/state/quote-filter";

describe("the filter in the address", () => {
  it.each(["?state=%27%3B--", "?product=UPPER+CASE", "?created_from=banana", "?bound_before=-1", "?status=unknown"])(
    "asks for %s as it stands, so that the server refuses it",
    (query) => {
      expect(queryOf(filterOf(query))).toBe(query);
    },
  );

  it("asks for what was chosen on the page instead", () => {
    expect(queryOf({ ...filterOf("?state=%27%3B--"), state: "CA" })).toBe("?state=CA");
  });
});
