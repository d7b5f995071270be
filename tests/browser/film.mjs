// Opens an animated SVG of `ceteris replay` in headless Chromium, stops it at given times, and compares
// what is seen with pictures of single frames.
//
//   node film.mjs FILM.svg TOP HEIGHT SECONDS=FRAME.png...
//
// TOP and HEIGHT name the rows of the scene in the film, in its pixels; the PNG files may be finer.
// Prints one JSON array: for every time the `caption` that is to be seen, and the `share` of the scene's
// pixels in which film and frame differ clearly. Exit status 2 when nothing could be compared.
// CETERIS_CHROMIUM names the browser; by default /usr/bin/chromium.

import { readFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
// Of 255. Renderers differ by less at the edges of shapes, most of the time.
const CLEARLY = 64;

// Runs in the page of the film.
function stop(seconds) {
  const film = document.documentElement;
  film.pauseAnimations();
  film.setCurrentTime(seconds);
}

// Runs in the page of the film, after it was drawn.
function caption() {
  const bottom = document.documentElement.getBoundingClientRect().bottom;
  const seen = [...document.querySelectorAll("text")].filter((text) => {
    const box = text.getBoundingClientRect();
    return text.textContent.startsWith("step ") && box.top >= bottom - 28 && box.bottom <= bottom;
  });
  return seen.map((text) => text.textContent).join(" | ");
}

// Runs in an empty page.
async function share({ seen, expected, top, height, clearly }) {
  const pixels = async (source, width) => {
    const image = new Image();
    image.src = `data:image/png;base64,${source}`;
    await image.decode();
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d");
    const scale = image.width / width;
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, top * scale, image.width, height * scale, 0, 0, width, height);
    return context.getImageData(0, 0, width, height).data;
  };
  const width = 480;
  const [a, b] = [await pixels(seen, width), await pixels(expected, width)];
  let different = 0;
  for (let at = 0; at < a.length; at += 4) {
    const channels = [0, 1, 2].map((channel) => Math.abs(a[at + channel] - b[at + channel]));
    if (Math.max(...channels) > clearly) different += 1;
  }
  return different / (width * height);
}

async function main() {
  const [file, top, height, ...moments] = process.argv.slice(2);
  if (moments.length === 0) throw new Error("usage: film.mjs FILM.svg TOP HEIGHT SECONDS=FRAME.png...");
  const browser = await chromium.launch({
    executablePath: process.env.CETERIS_CHROMIUM ?? "/usr/bin/chromium",
    args: ARGUMENTS,
  });
  try {
    const context = await browser.newContext({ deviceScaleFactor: 2, viewport: { width: 480, height: 800 } });
    const [film, bench] = [await context.newPage(), await context.newPage()];
    await film.goto(pathToFileURL(path.resolve(file)).href);
    const found = [];
    for (const moment of moments) {
      const [seconds, frame] = moment.split("=");
      await film.evaluate(stop, Number(seconds));
      const seen = (await film.screenshot()).toString("base64");
      const expected = (await readFile(frame)).toString("base64");
      const rows = { top: Number(top), height: Number(height), clearly: CLEARLY };
      found.push({
        caption: await film.evaluate(caption),
        share: await bench.evaluate(share, { seen, expected, ...rows }),
      });
    }
    console.log(JSON.stringify(found));
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(`film.mjs: ${error.stack ?? error}`);
  process.exitCode = 2;
});
