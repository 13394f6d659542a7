import { describe, expect, it } from "vitest";
import { badgeOf, worst } from "../src/state/line-badge";
import icons from "../src/ui/icons.json";
import { line } from "./make";

const STATES =
  "disabled disconnected connecting greeting authenticating subscribing live degraded stale market_closed cooldown open_circuit paused failed".split(
    " ",
  );

describe("badgeOf", () => {
  it("shows connected green, disconnected red, connecting amber, disabled gray", () => {
    expect(badgeOf(line()).tone).toBe("ok");
    expect(badgeOf(line({ status: "disconnected", state: "disconnected" })).tone).toBe("error");
    expect(badgeOf(line({ status: "connecting", state: "connecting" })).tone).toBe("warn");
    expect(badgeOf(line({ status: "error", state: "failed" })).tone).toBe("error");
    expect(badgeOf(line({ status: "disabled", state: "disabled", enabled: false })).tone).toBe("idle");
  });

  it("does not call a stale line well", () => {
    expect(badgeOf(line({ state: "stale" }))).toMatchObject({ tone: "warn", status: "connected", state: "stale" });
  });

  it("has an icon in the sprite for every state, and for words it does not know", () => {
    for (const state of [...STATES, "brand_new"]) {
      for (const status of ["connected", "connecting", "disconnected", "error", "disabled"] as const) {
        expect(icons).toContain(badgeOf(line({ status, state })).icon);
      }
    }
  });
});

describe("worst", () => {
  it("is the worst enabled line", () => {
    expect(worst([line(), line({ state: "degraded" })])).toBe("warn");
    expect(worst([line(), line({ status: "disabled", enabled: false })])).toBe("ok");
    expect(worst([])).toBe("idle");
  });
});
