/** The start page of somebody without a page of their own: only the frame. */
import "../styles/app.scss";
import { startFrame } from "../ui/frame";
import { openPage } from "../ui/open-page";

openPage(() => startFrame({ items: () => [] }));
