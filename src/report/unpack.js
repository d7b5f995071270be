// Large tables are packed, so that the page stays small; without this script, a link gives the packed file.
if (window.DecompressionStream) {
  for (const link of document.querySelectorAll('a[download$=".gz"]')) {
    link.download = link.textContent = link.download.slice(0, -3);
    link.addEventListener("click", async (event) => {
      if (link.href.startsWith("blob:")) return;
      event.preventDefault();
      const bytes = Uint8Array.from(atob(link.href.split(",")[1]), (letter) => letter.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
      const text = await new Response(stream).arrayBuffer();
      link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
      link.click();
    });
  }
}
