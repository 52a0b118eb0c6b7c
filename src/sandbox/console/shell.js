// What the console adds to the header of every page: the proof, and the search by id.

import { startProof } from "./proof.js";
import { createSearch } from "./search.js";

startProof();
createSearch(document.getElementById("search"));
