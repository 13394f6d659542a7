/** The start page of somebody without a page of their own: only the frame. */
import "../styles/app.scss";
import { startFrame } from "../ui/frame";

startFrame({ items: () => [] });
