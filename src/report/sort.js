for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent;
      const compare = (a, b) => {
        const [x, y] = [key(a), key(b)];
        // Cells without a number stay at the end, whichever way the rest goes.
        if (x === "" || y === "") return (x === "") - (y === "");
        const numbers = x - y;
        const order = Number.isNaN(numbers) ? x.localeCompare(y) : numbers;
        return up ? order : -order;
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}
