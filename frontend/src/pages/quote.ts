/** One quote: a form that several people fill in together. */
import "../styles/app.scss";
import "../styles/quotes.scss";
import { keepIcons } from "../ui/favicon";
import { startQuotePage } from "../ui/quote-page";
import { openPage } from "../ui/open-page";

openPage(() => void startQuotePage());
void keepIcons();
