/** The list of quotes. */
import "../styles/app.scss";
import "../styles/quotes.scss";
import { keepIcons } from "../ui/favicon";
import { QuotesPage } from "../ui/quotes-page";

new QuotesPage().start();
void keepIcons();
