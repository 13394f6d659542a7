/** The list of quotes. */
import "../styles/app.scss";
import "../styles/quotes.scss";
import { keepIcons } from "../ui/favicon";
import { QuotesPage } from "../ui/quotes-page";
import { openPage } from "../ui/open-page";
import { QUOTES_ADDRESS } from "../state/quote-filter";

openPage(() => new QuotesPage().start(), QUOTES_ADDRESS);
void keepIcons();
