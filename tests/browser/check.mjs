// Opens pages in headless Chromium and checks what a reader would notice: errors, requests, overflow,
// colour schemes, figures, accessibility (axe-core), the keyboard, sorting, downloads, print. Screenshots go to a folder.
//
//   node check.mjs --out FOLDER PAGE...
//
// Prints one JSON object: for every page its `problems`, each with the `check` that found it, the view
// in `where` and the `message`. Exit status: 0 without problems, 1 with some, 2 when nothing could be
// checked. CETERIS_CHROMIUM names the browser; by default /usr/bin/chromium.

import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import axe from "axe-core";
import { chromium } from "playwright-core";

const WIDTHS = [360, 1600];
const SCHEMES = ["light", "dark"];
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"];
// Taller pictures than this are cut into several: a browser does not draw arbitrarily tall ones.
const TALLEST = 6000;
// Text on a telephone is at least this high, in CSS pixels, in figures too.
const SMALLEST_TEXT = 9;
// WCAG 2.1, 1.4.3: contrast of text with what is behind it.
const CONTRAST = 4.5;
// Chromium asks the user before a page saves an eleventh file in a row.
const MOST_DOWNLOADS = 8;
// More of the same kind on one page are counted, not printed.
const MOST_MESSAGES = 12;

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Rows of a CSV text (RFC 4180); throws where quotes do not match. */
function csv(text) {
  const rows = [];
  let [row, field, quoted] = [[], "", false];
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at];
    if (quoted) {
      if (letter !== '"') field += letter;
      else if (text[at + 1] === '"') field += text[(at += 1)];
      else quoted = false;
    } else if (letter === '"' && field === "") quoted = true;
    else if (letter === ",") [field, row] = ["", [...row, field]];
    else if (letter === "\n") {
      rows.push([...row, field.replace(/\r$/, "")]);
      [field, row] = ["", []];
    } else field += letter;
  }
  if (quoted) throw new Error("a quote is not closed");
  if (field !== "" || row.length > 0) rows.push([...row, field]);
  return rows;
}

/** What is wrong with a downloaded file, or null. */
function badFile(name, bytes) {
  const text = bytes.toString("utf8");
  switch (path.extname(name)) {
    case ".csv": {
      let rows;
      try {
        rows = csv(text);
      } catch (error) {
        return error.message;
      }
      if (rows.length < 2) return `has ${rows.length} lines, so no data`;
      const [head] = rows;
      if (head.includes("") || new Set(head).size < head.length) {
        return `its columns have no names of their own: ${head.join(", ")}`;
      }
      const ragged = rows.findIndex((row) => row.length !== head.length);
      if (ragged < 0) return null;
      return `line ${ragged + 1} has ${rows[ragged].length} columns, the first has ${head.length}`;
    }
    case ".svg":
      return /<svg[\s>]/.test(text) && /<\/svg>\s*$/.test(text) ? null : "is no whole SVG";
    case ".png":
      return bytes.subarray(1, 4).toString("latin1") === "PNG" ? null : "is no PNG";
    case ".md":
    case ".tex":
    case ".json":
      return text.trim() === "" ? "is empty" : null;
    default:
      return "has an ending that nobody expects";
  }
}

/** A page in one view, and what was found there. */
class View {
  constructor(browser, file, where, problems) {
    Object.assign(this, { browser, file, where, problems });
  }

  problem(check, message) {
    this.problems.push({ check, where: this.where, message });
  }

  async open(width, scheme) {
    this.context = await this.browser.newContext({
      viewport: { width, height: 900 },
      colorScheme: scheme,
      reducedMotion: "reduce",
      acceptDownloads: true,
    });
    const own = pathToFileURL(this.file).href;
    // Nothing leaves this machine, whatever a page asks for.
    await this.context.route("**/*", (route) => {
      const url = route.request().url();
      if (url === own || /^(data|blob):/.test(url)) return route.continue();
      this.problem("requests", `asks for ${url}`);
      return route.abort();
    });
    this.page = await this.context.newPage();
    this.page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) this.problem("console", message.text());
    });
    this.page.on("pageerror", (error) => this.problem("console", `${error}`));
    await this.page.goto(own, { waitUntil: "load" });
    return this.page;
  }

  close() {
    return this.context.close();
  }

  async overflow() {
    const found = await this.page.evaluate(() => {
      const [has, may] = [document.scrollingElement.scrollWidth, window.innerWidth];
      if (has <= may) return null;
      const clipped = (element) => {
        for (let up = element.parentElement; up; up = up.parentElement) {
          if (getComputedStyle(up).overflowX !== "visible") return true;
        }
        return false;
      };
      const wide = [...document.body.querySelectorAll("*")].find(
        (element) => element.getBoundingClientRect().right > may + 1 && !clipped(element),
      );
      return { has, may, wide: wide?.outerHTML.slice(0, 120) };
    });
    if (found) this.problem("overflow", `${found.has} px wide in ${found.may}: ${found.wide}`);
  }

  /** Light is light and dark is dark. */
  async scheme(scheme) {
    const background = await this.page.evaluate(() => {
      const colours = [document.body, document.documentElement].map(
        (element) => getComputedStyle(element).backgroundColor,
      );
      return colours.find((colour) => !/, 0\)$/.test(colour)) ?? "none";
    });
    const [red, green, blue] = (background.match(/[\d.]+/g) ?? []).map(Number);
    const lightness = (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255;
    if (!(scheme === "dark" ? lightness < 0.3 : lightness > 0.7)) {
      this.problem("scheme", `the background is ${background}`);
    }
  }

  /** Every drawing has a name or is hidden from those who cannot see it, and its text can be read. */
  async figures() {
    const found = await this.page.evaluate((smallest) => {
      const small = [];
      const nameless = [];
      for (const drawing of document.querySelectorAll("svg, canvas, img")) {
        if (!drawing.checkVisibility()) continue;
        const named = drawing.closest("[role=img]");
        const label = named?.getAttribute("aria-label") || named?.getAttribute("aria-labelledby");
        const title = drawing.querySelector(":scope > title")?.textContent;
        if (!drawing.closest("[aria-hidden=true]") && !label && !title && !drawing.hasAttribute("alt")) {
          nameless.push(drawing.outerHTML.slice(0, 80));
        }
      }
      const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
        if (element.closest("script, style, title, desc, noscript")) continue;
        // A drawing may be scaled.
        const matrix = element instanceof SVGGraphicsElement ? element.getScreenCTM() : null;
        const scale = matrix ? Math.hypot(matrix.a, matrix.b) : 1;
        const size = parseFloat(getComputedStyle(element).fontSize) * scale;
        if (size < smallest) small.push([size, texts.currentNode.data.trim().slice(0, 40)]);
      }
      small.sort((a, b) => a[0] - b[0]);
      return { nameless, small };
    }, SMALLEST_TEXT);
    if (found.nameless.length > 0) {
      this.problem("figures", `${found.nameless.length} drawings have no name: ${found.nameless[0]}`);
    }
    if (found.small.length > 0) {
      const [size, text] = found.small[0];
      const count = found.small.length;
      this.problem("figures", `${count} texts are too small, the smallest ${size.toFixed(1)} px: ${text}`);
    }
  }

  /** Rules of axe-core that the page breaks; returns how many it keeps. */
  async accessibility() {
    await this.page.evaluate(axe.source);
    // Over a gradient axe does not decide whether text can be read; without it, it does.
    const plain = await this.page.addStyleTag({ content: "* { background-image: none !important }" });
    const result = await this.page.evaluate(
      (values) =>
        window.axe.run(document, {
          runOnly: { type: "tag", values },
          resultTypes: ["violations", "incomplete"],
        }),
      RULES,
    );
    await plain.evaluate((element) => element.remove());
    for (const rule of result.violations) {
      const [first] = rule.nodes;
      const where = `${first.target.join(" ")}: ${first.failureSummary?.split("\n").pop().trim()}`;
      this.problem("axe", `${rule.id}: ${rule.help} (${rule.nodes.length} times; ${where})`);
    }
    // Axe leaves undecided what lies in a drawing or is scrolled out of view.
    const undecided = result.incomplete.find((rule) => rule.id === "color-contrast")?.nodes ?? [];
    const faint = await this.page.evaluate(tooFaint, [undecided.map((node) => node.target[0]), CONTRAST]);
    if (faint.length > 0) {
      const { ratio, text } = faint[0];
      this.problem("contrast", `${faint.length} texts are too faint, the faintest ${ratio.toFixed(2)}: ${text}`);
    }
    return result.passes.length;
  }

  /** Screenshots of the whole page. */
  async screenshots(folder, name) {
    const height = await this.page.evaluate(() => document.scrollingElement.scrollHeight);
    const width = this.page.viewportSize().width;
    const files = [];
    for (let top = 0; top < height; top += TALLEST) {
      const part = height > TALLEST ? `-${files.length + 1}` : "";
      const file = path.join(folder, `${name}${part}.png`);
      const clip = { x: 0, y: top, width, height: Math.min(TALLEST, height - top) };
      await this.page.screenshot({ path: file, fullPage: true, clip });
      files.push(file);
    }
    return files;
  }

  /** Walks the page with Tab: everything is reached, and one sees where one is. */
  async keyboard() {
    const expected = await this.page.evaluate(() => {
      const all = document.querySelectorAll(
        "a[href], button, summary, input, select, textarea, [tabindex]",
      );
      const usable = [...all].filter(
        (element) => element.tabIndex >= 0 && !element.disabled && element.checkVisibility(),
      );
      // Named by their place, which sorting does not change here: nothing is pressed but Tab.
      usable.forEach((element, place) => element.setAttribute("data-check", place));
      window.scrollTo(0, 0);
      return usable.length;
    });
    const reached = new Set();
    const unseen = [];
    for (let press = 0; press < expected + 2; press += 1) {
      await this.page.keyboard.press("Tab");
      const focus = await this.page.evaluate(() => {
        const element = document.activeElement;
        if (!element || element === document.body) return null;
        const style = getComputedStyle(element);
        const box = element.getBoundingClientRect();
        const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
        const inside = box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
        return {
          place: element.dataset.check,
          text: (element.textContent.trim() || element.getAttribute("aria-label") || "").slice(0, 60),
          tag: element.tagName.toLowerCase(),
          href: element.getAttribute("href")?.slice(0, 40),
          seen: (outlined || style.boxShadow !== "none") && inside && box.width > 0 && box.height > 0,
        };
      });
      if (!focus || reached.has(focus.place)) break;
      if (press === 0) await this.skipLink(focus);
      reached.add(focus.place);
      if (!focus.seen) unseen.push(`<${focus.tag}> ${focus.text}`);
    }
    if (reached.size < expected) {
      const missing = await this.page.evaluate(
        (seen) =>
          [...document.querySelectorAll("[data-check]")]
            .filter((element) => !seen.includes(element.dataset.check))
            .map((element) => element.outerHTML.slice(0, 80)),
        [...reached],
      );
      this.problem(
        "keyboard",
        `Tab reaches ${reached.size} of ${expected} controls, not ${missing.slice(0, 3).join("; ")}`,
      );
    }
    if (unseen.length > 0) {
      this.problem("keyboard", `focus is not visible on ${unseen.length}: ${unseen.slice(0, 3).join("; ")}`);
    }
    const links = await this.page.evaluate(() =>
      [...document.querySelectorAll("a[href^='#']")]
        .map((link) => link.getAttribute("href"))
        .filter((href) => !document.getElementById(href.slice(1))),
    );
    if (links.length > 0) this.problem("keyboard", `links lead nowhere: ${links.join(", ")}`);
    return reached.size;
  }

  /** The first stop of Tab leads to the content. */
  async skipLink(first) {
    if (!first.href?.startsWith("#") || !/skip/i.test(first.text)) {
      this.problem("keyboard", `the first stop of Tab is no skip link but <${first.tag}> ${first.text}`);
      return;
    }
    const main = await this.page.evaluate(
      (href) => document.getElementById(href.slice(1))?.closest("main") !== null,
      first.href,
    );
    if (!main) this.problem("keyboard", `the skip link leads to ${first.href}, outside <main>`);
  }

  /** Every header that is a button sorts its table, up and down. */
  async sorting() {
    const buttons = this.page.locator("thead th button");
    const count = await buttons.count();
    for (let place = 0; place < count; place += 1) {
      const button = buttons.nth(place);
      const name = (await button.textContent()).trim();
      const orders = [];
      for (let press = 0; press < 2; press += 1) {
        await button.focus();
        await this.page.keyboard.press("Enter");
        orders.push(await button.evaluate(sortedBy));
      }
      const said = orders.map((order) => order.said);
      if ([...said].sort().join() !== "ascending,descending") {
        this.problem("sorting", `"${name}" says aria-sort ${said.join(", then ")}`);
      }
      for (const order of orders) {
        if (order.others > 0) this.problem("sorting", `"${name}" leaves aria-sort on another column`);
        if (order.wrong) this.problem("sorting", `"${name}", ${order.said}: ${order.wrong}`);
      }
    }
    return count;
  }

  /** Clicks on the downloads from one place on; says how many there are, and those that came. */
  async downloads(folder, from) {
    const links = this.page.locator("a[download], button[data-download]");
    const count = await links.count();
    // Links in closed parts of the page are there to be clicked, too.
    await this.page.evaluate(() => {
      for (const details of document.querySelectorAll("details")) details.open = true;
    });
    const names = [];
    for (let place = from; place < Math.min(from + MOST_DOWNLOADS, count); place += 1) {
      const link = links.nth(place);
      const text = (await link.textContent()).trim();
      try {
        const [download] = await Promise.all([
          this.page.waitForEvent("download", { timeout: 30_000 }),
          link.click({ timeout: 30_000 }),
        ]);
        const name = download.suggestedFilename();
        const file = path.join(folder, `${place}-${name}`);
        await download.saveAs(file);
        names.push(name);
        const wrong = badFile(name, await readFile(file));
        if (wrong) this.problem("downloads", `${name} ("${text}"): ${wrong}`);
      } catch (error) {
        this.problem("downloads", `"${text}" gives no file: ${error.message.split("\n")[0]}`);
      }
    }
    return { count, names };
  }
}

/** Runs in the page: how the table of a header's button is sorted by that button's column. */
function sortedBy(button) {
  const head = button.closest("th");
  const table = head.closest("table");
  const said = head.getAttribute("aria-sort");
  const keys = [...table.tBodies[0].rows].map((row) => {
    const cell = row.cells[head.cellIndex];
    return cell.dataset.sort ?? cell.textContent.trim();
  });
  // Cells without a value stand at the end, whichever way the rest goes.
  const filled = keys.filter((key) => key !== "");
  const numbers = filled.map(Number);
  const numeric = !numbers.some(Number.isNaN);
  const compare = numeric ? (a, b) => a - b : (a, b) => a.localeCompare(b);
  const values = numeric ? numbers : filled;
  const sign = said === "descending" ? -1 : 1;
  const at = values.findIndex((value, i) => i > 0 && sign * compare(values[i - 1], value) > 0);
  let wrong = at > 0 ? `${filled[at - 1]} stands before ${filled[at]}` : null;
  const blank = keys.indexOf("");
  if (blank >= 0 && blank < filled.length) wrong = "a cell without a value stands before one with";
  return { said, wrong, others: table.querySelectorAll("th[aria-sort]").length - 1 };
}

/** Runs in the page: those texts whose contrast with the nearest background is too low, the faintest first. */
function tooFaint([selectors, least]) {
  const colour = (text) => {
    const [red, green, blue, alpha = 1] = text.match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0, 0];
    return { rgb: [red, green, blue], alpha };
  };
  const over = (top, alpha, below) => top.map((part, i) => alpha * part + (1 - alpha) * below[i]);
  const luminance = (rgb) => {
    const [red, green, blue] = rgb.map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const texts = selectors.map((selector) => {
    const element = document.querySelector(selector);
    let opacity = 1;
    let behind = null;
    for (let up = element; up; up = up.parentElement) {
      const style = getComputedStyle(up);
      opacity *= Number(style.opacity);
      const background = colour(style.backgroundColor);
      if (!behind && background.alpha === 1) behind = background.rgb;
    }
    behind ??= [255, 255, 255];
    const style = getComputedStyle(element);
    const ink = colour(element instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [over(ink.rgb, ink.alpha * opacity, behind), behind].map(luminance);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    return { ratio, text: element.textContent.trim().slice(0, 40) };
  });
  return texts.filter(({ ratio }) => ratio < least).sort((a, b) => a.ratio - b.ratio);
}

async function check(browser, file, out) {
  const name = path.basename(file, path.extname(file));
  const problems = [];
  const found = { file, bytes: (await stat(file)).size, problems, rules: Infinity, screenshots: [] };
  for (const width of WIDTHS) {
    for (const scheme of SCHEMES) {
      const view = new View(browser, file, `${width} px, ${scheme}`, problems);
      await view.open(width, scheme);
      await view.overflow();
      await view.scheme(scheme);
      await view.figures();
      found.rules = Math.min(found.rules, await view.accessibility());
      found.screenshots.push(...(await view.screenshots(out, `${name}-${width}-${scheme}`)));
      if (scheme === "light") {
        found.stops = await view.keyboard();
        found.sorted = await view.sorting();
      }
      await view.close();
    }
  }
  const folder = path.join(out, `${name}-downloads`);
  await mkdir(folder, { recursive: true });
  found.downloads = [];
  for (let [from, count] = [0, 1]; from < count; from += MOST_DOWNLOADS) {
    const view = new View(browser, file, "downloads", problems);
    await view.open(Math.max(...WIDTHS), "light");
    const some = await view.downloads(folder, from);
    count = some.count;
    found.downloads.push(...some.names);
    await view.close();
  }
  // A4, landscape, as wide as it is between the margins that reports ask for.
  const print = new View(browser, file, "print", problems);
  await print.open(1032, "light");
  await print.page.emulateMedia({ media: "print" });
  await print.overflow();
  found.screenshots.push(...(await print.screenshots(out, `${name}-print`)));
  const pdf = await print.page.pdf({ preferCSSPageSize: true, printBackground: true });
  await writeFile(path.join(out, `${name}.pdf`), pdf);
  await print.close();
  return found;
}

/** At most `MOST_MESSAGES` problems of each check. */
function shortened(problems) {
  const counts = new Map();
  const kept = problems.filter(({ check }) => {
    counts.set(check, (counts.get(check) ?? 0) + 1);
    return counts.get(check) <= MOST_MESSAGES;
  });
  for (const [check, count] of counts) {
    if (count > MOST_MESSAGES) {
      kept.push({ check, where: "", message: `and ${count - MOST_MESSAGES} more` });
    }
  }
  return kept;
}

async function main() {
  const { values, positionals } = parseArgs({
    options: { out: { type: "string" } },
    allowPositionals: true,
  });
  if (!values.out || positionals.length === 0) throw new Error("usage: check.mjs --out FOLDER PAGE...");
  await mkdir(values.out, { recursive: true });
  const browser = await chromium.launch({
    executablePath: process.env.CETERIS_CHROMIUM ?? "/usr/bin/chromium",
    args: ARGUMENTS,
  });
  const require = createRequire(import.meta.url);
  let pages;
  try {
    pages = await Promise.all(positionals.map((file) => check(browser, path.resolve(file), values.out)));
  } finally {
    await browser.close();
  }
  const problems = pages.reduce((sum, page) => sum + page.problems.length, 0);
  for (const page of pages) page.problems = shortened(page.problems);
  const versions = { chromium: browser.version(), axe: require("axe-core/package.json").version };
  console.log(JSON.stringify({ problems, versions, pages }, null, 2));
  for (const page of pages) {
    for (const { check, where, message } of page.problems) {
      console.error(`${path.basename(page.file)}: ${check}${where && ` (${where})`}: ${message}`);
    }
  }
  process.exitCode = problems > 0 ? 1 : 0;
}

main().catch((error) => {
  console.error(`check.mjs: ${error.stack ?? error}`);
  process.exitCode = 2;
});
