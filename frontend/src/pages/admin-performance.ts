/** The performance page. */
import "uplot/dist/uPlot.min.css";
import "../styles/app.scss";
import "../styles/lists.scss";
import "../styles/vitals.scss";
import { keepIcons } from "../ui/favicon";
import { PerformancePage } from "../ui/performance-page";
import { openPage } from "../ui/open-page";

openPage(() => new PerformancePage().start());
void keepIcons();
