/** The feed page: ties the admin channel, the state and the drawing together. The only file that knows all three. */
import "../styles/app.scss";
import "../styles/feed.scss";
import "uplot/dist/uPlot.min.css";
import { keepIcons } from "../ui/favicon";
import { FeedPage } from "../ui/feed-page";
import { openPage } from "../ui/open-page";
import { FEED_ADDRESS } from "../state/filter";

openPage(() => new FeedPage().start(), FEED_ADDRESS);
void keepIcons();
