/** The page's entry; see ui/test-client-page. */
import "../styles/app.scss";
import "../styles/lists.scss";
import "../styles/closeup.scss";
import { keepIcons } from "../ui/favicon";
import { TestClientPage } from "../ui/test-client-page";
import { openPage } from "../ui/open-page";

openPage(() => new TestClientPage().start());
void keepIcons();
