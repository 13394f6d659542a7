/**
 * Builds the entries of src/pages into the Python package. It must not know what a page does.
 * The icon sprite is cut from bootstrap-icons here, so that a page carries only the icons it draws.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

import icons from "./src/ui/icons.json" with { type: "json" };

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Emits icons.svg: one `<symbol id="i-NAME">` per entry of icons.json; templates put it into the page. */
function iconSprite(): Plugin {
  return {
    name: "tidewire-icon-sprite",
    apply: "build",
    generateBundle() {
      const symbols = icons.map((name) => {
        const svg = readFileSync(here(`./node_modules/bootstrap-icons/icons/${name}.svg`), "utf8");
        const body = svg.replace(/^[\s\S]*?<svg[^>]*>/, "").replace(/<\/svg>\s*$/, "");
        return `<symbol id="i-${name}" viewBox="0 0 16 16">${body.replace(/\s*\n\s*/g, "")}</symbol>`;
      });
      const source = `<svg xmlns="http://www.w3.org/2000/svg" class="sprite" aria-hidden="true">${symbols.join("")}</svg>`;
      this.emitFile({ type: "asset", fileName: "icons.svg", source });
    },
  };
}

/** Emits the licences of what is built in without being a module: style sheets and icons. Vite emits the others. */
function licensesOfStyles(): Plugin {
  return {
    name: "tidewire-licenses-of-styles",
    apply: "build",
    generateBundle() {
      const texts = ["bootstrap", "bootstrap-icons"].map(
        (name) => `## ${name}\n\n${readFileSync(here(`./node_modules/${name}/LICENSE`), "utf8").trim()}\n`,
      );
      const source = `# Licenses of style sheets and icons\n\n${texts.join("\n---\n\n")}`;
      this.emitFile({ type: "asset", fileName: "licenses-of-styles.md", source });
    },
  };
}

export default defineConfig({
  base: "/static/",
  plugins: [iconSprite(), licensesOfStyles()],
  css: {
    // Bootstrap 5.3 still uses @import and global functions; the noise is theirs, and 5.3 is pinned.
    preprocessorOptions: {
      scss: { quietDeps: true, silenceDeprecations: ["import", "global-builtin", "color-functions", "if-function"] },
    },
  },
  build: {
    outDir: here("../src/tidewire/web/static"),
    emptyOutDir: true,
    manifest: true,
    // Whoever passes on the assets passes on the licences of what is in them (MIT, Apache-2.0).
    license: { fileName: "licenses.md" },
    target: "es2023",
    // An inlined data: script or style would meet the content security policy; files are cached for good anyway.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1600,
    rollupOptions: {
      input: {
        login: here("./src/pages/login.ts"),
        error: here("./src/pages/error.ts"),
        welcome: here("./src/pages/welcome.ts"),
        "admin-websockets": here("./src/pages/admin-websockets.ts"),
        "admin-connections": here("./src/pages/admin-connections.ts"),
        "admin-dashboard": here("./src/pages/admin-dashboard.ts"),
        "admin-health": here("./src/pages/admin-health.ts"),
        "admin-performance": here("./src/pages/admin-performance.ts"),
        "admin-connection": here("./src/pages/admin-connection.ts"),
        "admin-trace": here("./src/pages/admin-trace.ts"),
        "admin-test-client": here("./src/pages/admin-test-client.ts"),
        "admin-bans": here("./src/pages/admin-bans.ts"),
        "admin-alerts": here("./src/pages/admin-alerts.ts"),
        "admin-rooms": here("./src/pages/admin-rooms.ts"),
        "admin-activity": here("./src/pages/admin-activity.ts"),
        "admin-users": here("./src/pages/admin-users.ts"),
        "admin-user": here("./src/pages/admin-user.ts"),
        "api-docs": here("./src/pages/api-docs.ts"),
        streaming: here("./src/pages/streaming.ts"),
        quotes: here("./src/pages/quotes.ts"),
        quote: here("./src/pages/quote.ts"),
        analytics: here("./src/pages/analytics.ts"),
      },
    },
  },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
