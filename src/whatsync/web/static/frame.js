// The page around us hears that no visit goes on here, and can begin another one. Only pages that the operator has named
// can be around us; nothing else is said.
if (window.parent !== window) window.parent.postMessage({ whatsync: "ended" }, "*");
