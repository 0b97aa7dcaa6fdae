"""Short noun and verb phrases, in the words of the text, and the classes a noun belongs to."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from .dates import Expression
from .lexicon import table, words

if TYPE_CHECKING:
    from spacy.tokens import Token


_DROP = {"a", "an", "the", "this", "that", "these", "those", "some", "any", "my", "our", "your", "his", "her", "their", "its", "such", "all",
         "both", "every", "each", "another", "no", "yet", "quite", "just", "own", "very", "really", "so", "super", "pretty"}  # fmt: skip
_EMPTY = {"new", "great", "amazing", "awesome", "nice", "cool", "lovely", "wonderful", "beautiful", "little", "super", "really", "such", "cute",
          "same", "whole", "other", "fantastic", "incredible", "adorable", "sweet", "gorgeous", "brilliant", "dear", "good"}  # fmt: skip
_LISTS = {
    "event": "events", "place": "places", "animal": "animals", "activity": "activities", "instrument": "instruments", "game": "sports",
    "language": "languages", "subject": "subjects", "occupation": "occupations", "belonging": "belongings", "vehicle": "vehicles",
    "group": "groups", "workplace": "workplaces", "school": "schools", "read": "reads", "trip": "trips", "condition": "condition_nouns",
    "body": "body", "med": "medication", "generic": "generic", "diet": "diets", "religion": "religions", "nationality": "nationalities",
}  # fmt: skip
_SMALL = {
    "job": "job|position|role|post|gig|internship|apprenticeship|traineeship|placement|part-time job|contract|employment",
    "degree": "degree|bachelor|bachelors|bachelor's|master|masters|master's|phd|ph.d.|doctorate|mba|ba|bsc|msc|ma|diploma|certificate|certification|a-levels|abitur|ged|thesis|postgrad|pgce|law degree|license|licence|qualification",
    "gift": "gift|present|raise|promotion|offer|job offer|prize|award|scholarship|grant|medal|trophy|letter|news|results|bonus|diploma|certificate|invitation|invite|refund|package|flowers|bouquet|rejection|acceptance|license|licence|visa|citizenship|permit|loan|mortgage|pay rise|rise|compliment|call|ticket|tickets|endorsement|sponsorship|deal|contract|first place|second place|third place|gold|silver|bronze|recognition|feedback|card|postcard|voucher|fine|keys|degree",
    "prize": "prize|award|medal|trophy|scholarship|lottery|first place|gold medal|contract",
    "race": "marathon|half marathon|half-marathon|race|10k|5k|triathlon|ultramarathon|ultra|ironman|relay|charity race|fun run",
    "company": "company|business|startup|start-up|firm|agency|store|shop|online store|studio|dance studio|restaurant|bakery|cafe|café|brand|clothing store|practice|franchise|podcast|nonprofit|charity|foundation|enterprise|gym|bar|brewery|food truck|consultancy|clothing line",
    "blog": "blog|podcast|channel|youtube channel|newsletter|website|band|club|group|campaign|fundraiser|petition|project",
    "department": "team|department|division|unit|branch|section|office",
    "field": "tech|finance|it|sales|marketing|hr|healthcare|education|hospitality|retail|construction|insurance|logistics|publishing|consulting|advertising|engineering|real estate|banking|law|journalism|fashion|television|tv|film|music|politics|catering|customer service|social work|pr|public relations|aerospace|agriculture|accounting|research|academia|nursing|childcare|security|tourism",
    "money": "euro|euros|dollar|dollars|pound|pounds|quid|bucks|money|cash|rent|francs|kr|yen|rupees|lunch|dinner|coffee|beer|drink|pint|favour|favor|apology|$|€|£",
    "garment": "shoe|shoes|sneakers|trainers|boots|jacket|coat|dress|suit|shirt|t-shirt|hoodie|jeans|hat|bag|backpack|glasses|headphones|earphones|figurine|figurines|sofa|couch|bed|desk|lamp|chair|table|rug|plant|plants|tattoo|perfume|earrings|headset|keyboard|monitor|fridge|oven|washing machine|mattress|bike helmet|gadget|equipment|tickets|ticket|souvenir|poster|toy|toys|puzzle|lens",
    "bookthing": "book|novel|vinyl|record|game|video game|magazine|album",
    "allergy": "allergy|intolerance|reaction|allergies|allergic reaction",
    "food": "meat|pork|beef|gluten|dairy|alcohol|fish|seafood|sugar|eggs|milk|caffeine|red meat|animal products|wheat|shellfish|bread|carbs|chicken|nuts|cheese|sweets|coffee",
    "charity": "shelter|charity|soup kitchen|food bank|ngo|red cross|hospice|refuge|homeless shelter|animal shelter|community center|community centre|foundation|helpline|hotline|library|retirement home|nursing home|youth center|youth centre|refugee centre|orphanage|crisis line|samaritans|habitat for humanity",
    "venue": "dentist|doctor|hospital|beach|museum|park|zoo|library|gallery|theatre|theater|cinema|vet",
    "song": "song|songs|music|tune|tunes|record|records|album|track",
    "time": "day|week|month|year|hour|minute|morning|afternoon|evening|night|weekend|today|tomorrow|yesterday|tonight|monday|tuesday|wednesday|thursday|friday|saturday|sunday|summer|winter|spring|autumn|january|february|march|april|may|june|july|august|september|october|november|december|while|now|christmas|easter|ages|years|months|weeks|days|hours|minutes|moment|times|lunch|lunchtime|noon|midnight|dawn|shift|shifts|nights|weekends|mornings|evenings",
    "abstract": "idea|love|support|help|passion|creativity|motivation|courage|energy|spirit|attitude|fun|feeling|sense|way|kindness|mindset|self|dedication|determination|enthusiasm|positivity|vibe|vibes|experience|challenge|challenges|opportunity|advice|part|role|dream|dreams|potential|growth|freedom|effort|process|progress|perspective|connection|joy|happiness|comfort|inspiration|strength|future|past|stress|mood|conversation|chat|style|look|truth|trouble|responsibility|attention|concept|drive|fact",
    "home": "home|house|place|bed|bathroom|kitchen|room|door|town",
    "reflexive": "myself|himself|herself|themselves|ourselves|yourself|itself",
    "role": "role|part|game|tricks|trick|host|joke|prank|a role",
    "status": "single|married|divorced|engaged|widowed|separated|widow|widower",
    "gym": "gym|boot camp|boot camps|bootcamp|yoga|pilates|crossfit|church|therapy|pool|sauna",
    "class": "class|classes|lessons|course|courses",
    "praise": "encouragement|words|comment|message|compliment|picture|photo|pic|post|quote|question|story",
    "vague": "see|hear|know|be|have|get|help|share|say|think|feel|make|do|create|bring|watch",
    "opus": "novel|book|song|songs|album|thesis|dissertation|paper|app|game|website|script|screenplay|report|article|blog|podcast|film|documentary|movie|memoir|story|poem|poems|cookbook|ep|track|mural|painting|quilt|sweater|scarf|jumper|house|kitchen|bathroom|van|shed|cabin|boat|treehouse|play|musical|portfolio|plugin|library|compiler|prototype|robot|drone|guitar|course|tool|series|comic|webcomic|collection|chapter|manuscript|bookcase|table|model|engine|dress|costume|adoption agencies|startup|business plan|curriculum",
    "workverb": "work|study|live|play",
    "tables": "table|tables|bar",
    "divorce": "divorce|separation|breakup|break-up",
    "homeless": "homeless",
    "homeland": "home country|homeland|hometown|home town",
    "shop": "shop|store|restaurant|cafe|café|bakery|bar|pub|hotel|studio|gallery|farm|salon|gym|business|company|agency|blog|channel|podcast",
}  # fmt: skip


@cache
def _small(name: str) -> frozenset[str]:
    return frozenset(_SMALL[name].split("|"))


def forms(token: Token) -> list[str]:
    """The lower-case phrases that may name a token's class: with its modifiers first, bare last."""
    chain = [c for c in token.lefts if c.dep_ in ("compound", "amod", "nmod", "nummod") and not c.is_punct]
    full = [*(c.text.lower() for c in chain), token.text.lower()]
    base = [*full[:-1], token.lemma_.lower()]
    found = []
    for i in range(len(full)):
        found += [" ".join(full[i:]), " ".join(base[i:])]
    return list(dict.fromkeys(found))


def listed(token: Token, name: str) -> bool:
    """Whether the token, with or without its modifiers, stands in the word list."""
    known = words(_LISTS[name]) if name in _LISTS else _small(name)
    return any(form in known for form in forms(token))


def kin_of(token: Token) -> tuple[str, str, str] | None:
    """(predicate, gender, the word) when the noun names a relation: sister, flatmate, boss."""
    kin = table("kin")
    for form in forms(token):
        if form in kin:
            predicate, gender = kin[form]
            return predicate, gender, form
    low = token.text.lower()
    if token.pos_ == "NOUN" and (low in words("occupations") or low.endswith(tuple(words("occupation_suffixes")))):
        owned = (
            any(c.dep_ == "poss" for c in token.children)
            or (token.dep_ == "appos"
            and any(c.dep_ == "poss" for c in token.children))
        )
        if owned and low not in words("not_occupations"):
            return "knows", "", low
    return None


def is_name(token: Token) -> bool:
    """Whether the token is written as a proper name."""
    return (token.pos_ == "PROPN" and token.text[:1].isupper()) or token.text == "Titleword"


def given_name(token: Token) -> str | None:
    """The gender of a known given name: "m", "f" or "" (not known); None when it is no name."""
    low = token.text.lower().strip(".")
    if low == "alex":  # stands in for a name of unknown gender
        return ""
    return "m" if low in words("male_names") else "f" if low in words("female_names") else None


def is_place(token: Token) -> bool:
    full = [*(c.text.lower() for c in token.lefts if c.dep_ in ("compound", "amod")), token.text.lower()]
    known = words("countries") | words("cities")
    if any(" ".join(full[i:]) in known for i in range(len(full))):
        return True
    return (token.ent_type_ in ("GPE", "LOC", "FAC") and token.text[:1].isupper()) or listed(token, "place")


def noun_phrase(token: Token, skip: list[Expression], *, deep: bool = True) -> list[Token]:
    """The tokens of a short phrase headed by `token`: no article, no relative clause, no date."""
    kept: list[Token] = []
    for child in token.lefts:
        if child.dep_ in (
            "det",
            "poss",
            "predet",
            "preconj",
            "punct",
            "cc",
            "neg",
            "case",
            "prep",
            "appos",
            "relcl",
            "aux",
            "mark",
            "nsubj",
        ):
            if child.dep_ == "poss" and child.pos_ in ("PROPN", "NOUN") and not kin_of(child):
                kept += [t for t in child.subtree]
            continue
        if child.text.lower() in _DROP or (child.dep_ == "amod" and child.text.lower() in _EMPTY):
            continue
        if child.dep_ in ("compound", "amod", "nummod", "nmod", "advmod", "quantmod", "npadvmod"):
            kept += [t for t in child.subtree if t.text.lower() not in _DROP and t.dep_ not in ("relcl",)]
    kept.append(token)
    if deep:
        kept += _tail(token, skip)
    return [t for t in kept if not dated(t, skip)]


def _tail(token: Token, skip: list[Expression]) -> list[Token]:
    """Prepositional modifiers of a noun: all of "of" and "for", else the nearest one."""
    kept: list[Token] = []
    for child in token.rights:
        if child.dep_ == "prep" and child.text.lower() in words("relations_prep") and not dated(child, skip):
            objects = [c for c in child.children if c.dep_ in ("pobj", "pcomp")]
            if objects and not dated(objects[0], skip) and objects[0].pos_ in ("NOUN", "PROPN", "NUM", "VERB"):
                if objects[0].lemma_.lower() in _small("time"):
                    continue
                inner = noun_phrase(objects[0], skip, deep=child.text.lower() == "of")
                if objects[0].pos_ == "VERB":
                    inner = [
                        objects[0],
                        *[t for c in objects[0].children if c.dep_ == "dobj" for t in noun_phrase(c, skip, deep=False)],
                    ]
                kept += [child, *inner]
        elif child.dep_ == "nummod":
            kept.append(child)
    return kept


def dated(token: Token, skip: list[Expression]) -> bool:
    """Whether the token is part of a date expression."""
    return any(e.start <= token.idx < e.end for e in skip)


def verb_phrase(verb: Token, skip: list[Expression], *, with_verb: bool = True, preps: int = 2) -> list[Token]:
    """A verb with its particle, object and nearest prepositional phrases, without dates and subordinate clauses."""
    kept = [verb] if with_verb else []
    left = preps
    for child in verb.rights:
        if dated(child, skip) or child.text.lower() in ("too", "also", "though", "again", "there", "here"):
            continue
        if child.dep_ in ("dobj", "attr", "oprd", "acomp", "dative") and child.pos_ != "PRON":
            kept += noun_phrase(child, skip)
            left -= 1 if any(t.dep_ == "prep" for t in kept) else 0
        elif child.dep_ == "advmod" and child.text.lower() == "back":
            kept += [t for t in child.subtree if not dated(t, skip)]
        elif child.dep_ == "prt" or (
            child.dep_ == "advmod" and child.text.lower() in ("back", "up", "out", "off", "away")
        ):
            kept.append(child)
        elif child.dep_ in ("prep", "agent") and left > 0:
            objects = [t for t in child.children if t.dep_ in ("pobj", "pcomp")]
            if objects and not dated(objects[0], skip) and objects[0].pos_ in ("NOUN", "PROPN", "VERB"):
                inner = verb_phrase(objects[0], skip) if objects[0].pos_ == "VERB" else noun_phrase(objects[0], skip)
                kept += [child, *inner]
                left -= 1
        elif child.dep_ == "xcomp" and child.pos_ == "VERB":
            kept += [t for t in child.lefts if t.tag_ == "TO"]
            kept += verb_phrase(child, skip, preps=left)
    return sorted(set(kept), key=lambda t: t.i)
