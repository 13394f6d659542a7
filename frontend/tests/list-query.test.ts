import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  FIRST_PAGE,
  firstQuery,
  fromAddress,
  inSight,
  isFiltered,
  type ListShape,
  nextPage,
  previousPage,
  sortedBy,
  toAddress,
  toParameters,
  withFields,
} from "../src/state/list-query";
import { programOf } from "../src/state/program";

const SHAPE: ListShape = { fields: ["text", "slow"], sort: "since", sorts: { since: true, name: false } };

describe("a list's address", () => {
  it("is plain for a plain list, and gives back what was put in", () => {
    expect(toAddress(firstQuery(SHAPE), SHAPE)).toBe("");
    const field = fc.string().map((text) => text.trim());
    fc.assert(
      fc.property(field, fc.boolean(), fc.constantFrom("since", "name"), (text, descending, sort) => {
        const query = { ...withFields(firstQuery(SHAPE), { text }), sort, descending };
        expect(fromAddress(toAddress(query, SHAPE), SHAPE)).toEqual(query);
      }),
    );
  });

  it("takes no sort or field that the list has not", () => {
    const query = fromAddress("?sort=__proto__&order=sideways&color=red&slow=true", SHAPE);
    expect(query).toEqual({ fields: { text: "", slow: "true" }, sort: "since", descending: true });
    expect(sortedBy(query, "constructor", SHAPE)).toBe(query);
  });

  it("sorts another column its own way first, then the other way round", () => {
    const start = firstQuery(SHAPE);
    expect(start.descending).toBe(true);
    expect(sortedBy(start, "since", SHAPE).descending).toBe(false);
    expect(sortedBy(start, "name", SHAPE)).toMatchObject({ sort: "name", descending: false });
    expect(isFiltered(start)).toBe(false);
    expect(isFiltered(withFields(start, { text: " x " }))).toBe(true);
  });

  it("asks for a page by the cursor of the one before, and for the rows in sight", () => {
    const query = withFields(firstQuery(SHAPE), { text: "a b" });
    const second = nextPage(FIRST_PAGE, "c1");
    const third = nextPage(second, "c2");
    expect(`${toParameters(query, FIRST_PAGE, 50)}`).toBe("text=a+b&sort=since&descending=true&limit=50");
    expect(toParameters(query, third, 50).get("cursor")).toBe("c2");
    expect(previousPage(third)).toEqual(second);
    expect(previousPage(previousPage(second))).toEqual(FIRST_PAGE);
  });
});

describe("rows in sight", () => {
  it("are named as far as an address holds them", () => {
    expect(inSight(["a", "b"])).toEqual(["a", "b"]);
    const long = Array.from({ length: 50 }, (_, n) => `app:${"ü".repeat(120)}${n}`);
    const named = inSight(long);
    expect(named.length).toBeGreaterThan(5);
    expect(new URLSearchParams(named.map((id) => ["keep", id])).toString().length).toBeLessThan(6_100);
  });
});

describe("the program at the other end", () => {
  it("is a browser by its most particular name, or what a program calls itself", () => {
    const chrome =
      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";
    expect(programOf(chrome)).toBe("Chrome 141");
    expect(programOf(`${chrome} Edg/141.0.0.0`)).toBe("Edge 141");
    expect(programOf("Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML) Version/18.1 Safari/605.1.15")).toBe(
      "Safari 18",
    );
    expect(programOf("Mozilla/5.0 (X11; rv:131.0) Gecko/20100101 Firefox/131.0")).toBe("Firefox 131");
    expect(programOf("tidewire-client/0.1.0 python/3.12")).toBe("tidewire-client/0.1.0");
    expect(programOf("  ")).toBe("");
  });
});
