/* The field above long tables and lists: it leaves the rows that have all of its words. */

document.addEventListener("DOMContentLoaded", () => {
    const field = document.querySelector("input.filter");
    if (!field) return;
    const rows = [...document.querySelectorAll("table.filtered tbody tr, ul.filtered > li")];
    const texts = rows.map(row => row.textContent.toLowerCase());
    const sections = [...document.querySelectorAll("section section")]
        .filter(section => section.querySelector(".filtered"));
    const count = document.createElement("output");
    count.className = "filter";
    field.after(count);
    field.addEventListener("input", () => {
        const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
        rows.forEach((row, i) => { row.hidden = !words.every(word => texts[i].includes(word)); });
        for (const section of sections) {
            section.hidden = !rows.some(row => !row.hidden && section.contains(row));
        }
        const shown = rows.filter(row => !row.hidden).length;
        count.textContent = words.length ? `${shown} of ${rows.length}` : "";
    });
});
