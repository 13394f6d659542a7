/** The feed page: ties the admin channel, the state and the drawing together. The only file that knows all three. */
import "../styles/app.scss";
import "../styles/feed.scss";
import "uplot/dist/uPlot.min.css";
import { keepIcons } from "../ui/favicon";
import { FeedPage } from "../ui/feed-page";

const page = new FeedPage();
page.start();
void keepIcons();
