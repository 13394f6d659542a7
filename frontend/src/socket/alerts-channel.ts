/**
 * Hears of alerts while they happen. It must not know what is shown of them. Source: docs/protocol.md, `admin_alert`.
 */
import { BATCH, Client } from "../client/index";
import type { AlertRow } from "./alerts-api";

export interface AdminAlert {
  readonly event: "opened" | "resolved" | "acknowledged" | "held_back" | "unwatched";
  readonly timestamp: number;
  readonly open: number;
  readonly alert: AlertRow | null;
  readonly heldBack: number;
  readonly since: number | null;
}

export class AlertsChannel {
  private readonly url: string;
  private readonly heard: (alert: AdminAlert) => void;
  private client: Client | null = null;

  constructor(url: string, heard: (alert: AdminAlert) => void) {
    this.url = url;
    this.heard = heard;
  }

  open(): void {
    if (this.client !== null) return;
    const client = new Client(this.url, {
      subprotocols: [BATCH],
      onLink: (link) => {
        if (link.state === "ended" && client === this.client) this.client = null;
      },
      onNote: (kind, fields) => {
        if (kind === "admin_alert" && client === this.client) this.heard(toAlert(fields));
      },
    });
    this.client = client;
    client.start();
  }

  close(): void {
    const client = this.client;
    this.client = null;
    client?.close();
  }

  retryNow(): void {
    this.client?.retryNow();
  }
}

function toAlert(fields: Readonly<Record<string, unknown>>): AdminAlert {
  const number = (name: string): number | null => {
    const value = fields[name];
    return typeof value === "number" ? value : null;
  };
  return {
    event: fields["event"] as AdminAlert["event"],
    timestamp: number("timestamp") ?? 0,
    open: number("open") ?? 0,
    alert: (fields["alert"] as AlertRow | undefined) ?? null,
    heldBack: number("held_back") ?? 0,
    since: number("since"),
  };
}
