"""Whatever an agent writes is text: nothing of it runs, nothing of it is loaded, and all of it can be read."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect

from detectors.transcript import TranscriptEvent
from detectors.verdict import DetectorScore
from services.accounts.principal import Role
from services.triage.actions import Actor
from services.triage.case import Disposition
from services.triage.label import Decision
from tests.browser.reading import scrolls_sideways
from tests.browser.site import PHONE, Site, keep
from tests.triage_data import event
from tests.web_data import fill, flagged, record

pytestmark = [pytest.mark.integration, pytest.mark.browser]

RUN = "window.__xss=1"
ATTACKS = {
    "script": f"<script>{RUN}</script>",
    "image": f"<img src=x onerror={RUN}>",
    "image-elsewhere": "<img src=http://evil.example/pixel.png><link rel=stylesheet href=//evil.example/x.css>",
    "svg": f"\"'><svg/onload={RUN}><animate onbegin={RUN} attributeName=x dur=1s>",
    "frame": f"<iframe srcdoc='<script>parent.{RUN}</script>'></iframe><object data=//evil.example></object>",
    "attribute": f'" autofocus tabindex=0 onfocus={RUN} x="',
    "attribute-single": f"' onpointerenter={RUN} style='position:fixed;inset:0' x='",
    "link": f"javascript:{RUN}//",
    "markdown": f"[click](javascript:{RUN}) ![x](http://evil.example/p.png) <javascript:{RUN}>",
    "raw-text": f"</textarea></title></style></script><script>{RUN}</script>",
    "comment": f"--><script>{RUN}</script><!--",
    "entity": f"&lt;script&gt;{RUN}&lt;/script&gt; &#60;script&#62;{RUN}&#60;/script&#62;",
    "template": f"{{{{ 7*7 }}}} {{% raw %}} ${{{RUN}}} <%= {RUN} %>",
    "htmx": f"<a hx-get=/ hx-trigger=load hx-on::load={RUN} data-hx-on:click={RUN}>x</a>",
    "refresh": "<meta http-equiv=refresh content='0;url=http://evil.example'><base href=//evil.example>",
    "form": "<form action=http://evil.example><button data-key=c name=disposition>Confirm</button></form>",
    "dialog": "<dialog open id=decide><form id=bulk></dialog><div id=conflict data-version=9>",
    "bidi": f"\u202e>tpircs/<{RUN}>tpircs<\u202c \u2066hidden\u2069 \u200b\ufeff",
    "json": f'</script>{{"__proto__": "{RUN}"}}',
    "unbroken": "A" * 220,
}


def everywhere(attack: str, number: int) -> TranscriptEvent:
    """An event with the attack in every field that an agent fills in."""
    short, role, name = attack[:256], attack[:64], "".join(filter(str.isprintable, attack))[:200]
    messages: list[dict[str, Any]] = [
        {"role": role, "name": short, "content": attack, "id": f"{name}-0"},
        {
            "role": "assistant",
            "id": f"{name}-1",
            "reasoning": attack,
            "parts": [
                {"type": "text", "content": attack},
                {"type": "tool_call", "id": short, "name": short, "arguments": {attack: [attack, {attack: attack}]}},
                {"type": "tool_call", "id": short, "name": short, "arguments": attack},
                {"type": "tool_call_response", "id": short, "response": {attack: attack}},
                {"type": short, "content": attack},
            ],
        },
    ]
    return event(
        f"{name} {number}",
        tenant="acme",
        event_id=f"{name}-{number}",
        messages=messages,
        agent={"name": short, "version": short},
        model={"provider": short, "name": short, "version": short},
        deployment={"environment": short, "region": short},
        tools=[{"name": short, "description": attack}],
    )


def flag(site: Site, attack: str) -> UUID:
    """Its case: the evidence is the attack, too, and people have written it as well."""
    of, name = everywhere(attack, 0), "".join(filter(str.isprintable, attack))[:100]
    end = min(len(attack), 40)
    spans = [(0, 0, 0, end, "coercion", 1.0), (1, 0, 2, end, "deception", 0.5)]
    found = flagged(of, spans, flagged=("coercion", "misalignment"), reason=name)
    detectors = (DetectorScore(name=name, version=name, score=0.9),)
    case_id = record(site.web, (of, found.model_copy(update={"detectors": detectors})))
    do, now, bob = site.web.services.actions, site.web.clock(), Actor("bob", None)
    with site.web.services.database.write() as tx:
        do.comment(tx, bob, case_id, attack, now)
        do.link(tx, bob, case_id, "https://example.org/", attack[:200], now)
        decision = Decision(
            disposition=Disposition.UNSURE,
            conversation_id=of.conversation_id,
            comment=attack,
            corrected_answer=attack,
        )
        do.decide(tx, bob, case_id, 1, decision, now)
    return case_id


def disturb(page: Page) -> None:
    """Opens, hovers and moves through everything, as a reader may."""
    page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    page.evaluate(
        "for (const each of document.querySelectorAll('main *'))"
        "for (const kind of ['pointerenter', 'mouseover', 'focus']) each.dispatchEvent(new Event(kind))"
    )
    page.keyboard.press("j")
    page.keyboard.press("e")


def is_only_text(page: Page) -> None:
    assert page.evaluate("window.__xss") is None
    assert page.evaluate("location.origin + '/'") == page.url.split("/", 3)[0] + "//" + page.url.split("/", 3)[2] + "/"
    ours = "script, style, link, base, meta[http-equiv], img, iframe, object, embed, marquee, animate"
    found = page.locator(ours).evaluate_all("all => all.map(each => each.outerHTML)")
    assert len(found) == 4, found  # icon, style sheet, htmx and our own script
    assert (
        page.locator("*").evaluate_all(
            "all => all.flatMap(each => [...each.attributes]).map(each => each.name)"
            ".filter(name => name.startsWith('on') || name.startsWith('hx-on') || name === 'style')"
        )
        == []
    )
    assert (
        page.locator("a[href]").evaluate_all(
            "all => all.map(each => each.protocol).filter(each => !['http:', 'https:'].includes(each))"
        )
        == []
    )
    for only_one in ("#decide", "#bulk", "#conflict", "dialog"):
        assert page.locator(only_one).count() <= 1


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_what_an_agent_writes_is_shown_and_does_nothing(site: Site, attack: str) -> None:
    case_id = flag(site, attack)
    page = site.person("ada", Role.ADMIN)
    page.goto(f"/cases/{case_id}")
    disturb(page)
    is_only_text(page)
    shown = page.locator("#m0 [data-part] [data-o]:not([data-e])").evaluate_all(
        "all => all.map(each => each.textContent).join('')"
    )
    hidden = "\u202e\u202c\u2066\u2069\u200b\ufeff"
    assert shown == attack.translate({ord(each): None for each in hidden})
    assert not scrolls_sideways(page)
    page.set_viewport_size(PHONE)
    assert not scrolls_sideways(page)


def test_all_attacks_at_once_in_a_tenants_name_and_every_other_page(site: Site) -> None:
    fill(site.web, long_messages=200, others=3)
    for number, attack in enumerate(ATTACKS.values()):
        of = everywhere(attack, number).model_copy(update={"tenant_id": everywhere(attack, 0).conversation_id})
        record(site.web, (of, flagged(of, [(0, 0, 0, 3, "coercion", 1.0)], flagged=("coercion",))))
        flag(site, attack)
    page = site.person("ada", Role.ADMIN)
    for path in ("/", "/?state=any&sort=newest", "/next", "/labels", "/quality", "/audit", "/review"):
        page.goto(path)
        disturb(page)
        is_only_text(page)
        assert not scrolls_sideways(page), path
    page.goto("/")
    keep(page, "attacks-queue")
    for attack in ATTACKS.values():
        page.goto(f"/?q={quote(attack[:200])}&owner={quote(attack[:200])}&agent={quote(attack[:200])}")
        is_only_text(page)
        page.goto(f"/c/acme/{quote(everywhere(attack, 0).conversation_id, safe='')}")
        expect(page.locator("#m0")).to_be_visible()
