/**
 * Draws a quote's page from its model: the form by groups, who is here, what is under way. It must not know the socket,
 * and it decides nothing: what is entered or pressed goes to the actions it is given.
 */
import type { ClientError, Member } from "../client/index";
import type { FieldSpec } from "../socket/quotes-api";
import { fieldOf, type QuoteModel } from "../state/quote";
import { conflicts, type Edits, shownValue, waitingCount } from "../state/quote-edits";
import { missingFields } from "../state/quote-missing";
import type { Editor } from "../state/quote-wire";
import { downSince, type StreamLink } from "../state/stream-link";
import { Banners } from "./banners";
import { element, icon, part, setAttribute, setHidden, setIcon, setText } from "./dom";
import { LinkPill } from "./link-pill";
import { quoteBanners } from "./quote-banners";
import { type FieldActions, FieldView } from "./quote-field";
import { count, exact, t, word } from "./text";

export interface PageModel {
  quote: QuoteModel;
  edits: Edits;
  link: StreamLink;
  members: readonly Member[];
  closed: ClientError | null;
  /** The server refused an edit because the person may not edit. */
  editRefused: boolean;
  connectionId: string | null;
  username: string;
  offline: boolean;
  /** Server clock minus this browser's, seconds. */
  clockOffset: number;
}

export interface PageActions extends FieldActions {
  retry(): void;
  reopen(): void;
}

export class QuoteView {
  private readonly banners = new Banners(part(document, "banners"));
  private readonly pill = new LinkPill();
  private readonly fields = new Map<string, FieldView>();
  private readonly specs: ReadonlyMap<string, FieldSpec>;
  private readonly model: PageModel;
  private readonly actions: PageActions;
  private title = document.title;
  private people = "";

  constructor(model: PageModel, specs: ReadonlyMap<string, FieldSpec>, actions: PageActions) {
    this.model = model;
    this.specs = specs;
    this.actions = actions;
    this.build();
  }

  /** Server time, Unix seconds. */
  now(): number {
    return Date.now() / 1000 + this.model.clockOffset;
  }

  get missing(): readonly string[] {
    return missingFields([...this.specs.values()], this.model.quote.quote);
  }

  /** Whether the person may change the quote now. */
  get mayEdit(): boolean {
    const { quote, closed, editRefused } = this.model;
    return quote.quote?.editable === true && closed === null && !editRefused;
  }

  draw(): void {
    const { model } = this;
    const seen = model.quote.quote !== null && model.closed === null;
    setHidden(part(document, "quote"), !seen);
    const over = model.closed !== null || model.link.kind === "ended";
    setHidden(part(document, "skeleton"), model.quote.quote !== null || over);
    if (seen) {
      this.drawHead();
      this.drawFields();
      this.drawPeople();
    } else if (model.quote.quote === null) this.wipe();
    this.drawWaiting();
    this.drawLink();
  }

  focusField(field: string): void {
    const view = this.fields.get(field);
    view?.root.scrollIntoView({ block: "center" });
    view?.control.focus({ preventScroll: true });
  }

  /** Enters what was typed and not stored yet; see FieldView. */
  flush(): void {
    for (const field of this.model.edits.drafts.keys()) this.fields.get(field)?.flush();
  }

  private build(): void {
    const groups = new Map<string, HTMLElement>();
    const form = part(document, "form");
    for (const spec of this.specs.values()) {
      let group = groups.get(spec.group);
      if (group === undefined) {
        group = element("div", { class: "q-grid" });
        groups.set(spec.group, group);
        const legend = element("legend", {}, word("quote.group", spec.group));
        form.append(element("fieldset", { class: "card q-group", "data-group": spec.group }, legend, group));
      }
      const view = new FieldView(spec, this.actions, this.specs);
      this.fields.set(spec.name, view);
      group.append(view.root);
    }
  }

  /** What is hidden because it may not be seen any more is not in the page either. */
  private wipe(): void {
    if (document.title !== this.title) document.title = this.title;
    setText(part(document, "customer"), "");
    setText(part(document, "about"), "");
    this.drawFields();
  }

  private drawHead(): void {
    const quote = this.model.quote.quote;
    if (quote === null) return;
    const customer = String(fieldOf(quote, "customer_name").value ?? "");
    setText(part(document, "customer"), customer);
    const title = `${customer} · ${this.title}`;
    if (document.title !== title) document.title = title;
    const { status, expires_at, created_by, created_at } = quote.quote;
    const badge = part(document, "status");
    setAttribute(badge, "data-status", status);
    setText(part(badge, "status-word"), word("quote.status", status));
    setIcon(badge, STATUS_ICONS[status]);
    const about = t("quote.about", { by: created_by, time: exact(created_at), version: count(quote.version) });
    const ends =
      expires_at === null || status === "expired" ? "" : ` ${t("quote.expires", { time: exact(expires_at) })}`;
    setText(part(document, "about"), about + ends);
  }

  private drawFields(): void {
    const { quote, edits, link } = this.model;
    const missing = new Set(this.mayEdit ? this.missing : []);
    const editors = this.editorsByField();
    for (const [name, view] of this.fields) {
      view.draw({
        state: fieldOf(quote.quote, name),
        shown: shownValue(edits, quote.quote, name),
        edit: edits.edits.get(name),
        draft: edits.drafts.get(name),
        editors: editors.get(name) ?? [],
        readOnly: !this.mayEdit,
        missing: missing.has(name),
        live: link.kind === "live",
        username: this.model.username,
        now: this.now(),
      });
    }
  }

  /** Others only; one's own other tabs are others, too. */
  private editorsByField(): Map<string, Editor[]> {
    const found = new Map<string, Editor[]>();
    for (const editor of this.model.quote.editors.values()) {
      if (editor.field === null || editor.connectionId === this.model.connectionId) continue;
      found.set(editor.field, [...(found.get(editor.field) ?? []), editor]);
    }
    return found;
  }

  private drawPeople(): void {
    const { members, username } = this.model;
    const names = members.map((one) => one.username).sort((a, b) => a.localeCompare(b));
    if (names.join() === this.people) return;
    this.people = names.join();
    setText(part(document, "people-count"), count(names.length));
    part(document, "people").replaceChildren(
      ...names.map((name) =>
        element(
          "li",
          { "data-testid": "person" },
          icon("person-circle"),
          name === username ? t("quote.people.you", { name }) : name,
        ),
      ),
    );
  }

  private drawWaiting(): void {
    const { edits } = this.model;
    const waiting = waitingCount(edits);
    const words =
      waiting > 0 ? t("quote.waiting", { count: count(waiting) }) : conflicts(edits).length > 0 ? "" : t("quote.saved");
    const place = part(document, "waiting");
    setText(place, words);
    setAttribute(place, "data-waiting", String(waiting));
  }

  private drawLink(): void {
    const { link, offline, quote, edits, closed } = this.model;
    const retryAt = link.kind === "waiting" ? link.retryAt : null;
    const healthy = closed !== null ? "error" : conflicts(edits).length > 0 ? "warn" : "ok";
    this.pill.draw({ kind: link.kind, downSince: downSince(link), retryAt, offline }, healthy);
    const loginUrl = `/login?next=${encodeURIComponent(location.pathname)}`;
    this.banners.draw(
      quoteBanners({
        link,
        model: quote,
        edits,
        closed,
        mayEdit: this.mayEdit,
        offline,
        loginUrl,
        nowMs: Date.now(),
        retry: () => this.actions.retry(),
        reopen: () => this.actions.reopen(),
        firstConflict: () => this.focusField(conflicts(edits)[0]?.field ?? ""),
      }),
    );
  }
}

const STATUS_ICONS = {
  draft: "pencil-square",
  quoted: "check-circle-fill",
  bound: "lock",
  expired: "hourglass-split",
} as const;
