/** The strips about nodes that did not answer. They must not know what was asked. */
import type { Whole } from "../socket/connections-api";
import type { Banner } from "./banners";
import { ago, t, word } from "./text";

/** Nodes whose rows are missing, each by its name. */
export function missingBanners(page: Whole): Banner[] {
  const found = page.silent.map((node): Banner => ({
    key: `silent-${node.instance}`,
    tone: "warn",
    title: t("list.silent", { node: node.node }),
    text: `${word("list.silent", node.why)} ${t("list.silent.heard", { ago: ago(node.heard_s_ago) })}`,
    actions: [],
  }));
  if (page.cut_off === "") return found;
  const cut: Banner = {
    key: "cut-off",
    tone: "error",
    title: t("list.cut_off"),
    text: t("list.cut_off.why", { reason: page.cut_off }),
    actions: [],
  };
  return [cut, ...found];
}
