"""Many parties' nodes played by one small HTTP server: `python -m bench.peers PARTIES DATASETS`; prints its port.

It answers a stamp and pages of 50 as a node does, and changes one dataset of a party when asked to. Nothing is checked:
what is measured is who reads, not who answers.
"""

import asyncio
import sys
from typing import Any

import orjson

from gongshu.share.dsp.messages import CONTEXT

PAGE = 50


class Peers:
    """All catalogues; the pages are made once, so that answering costs next to nothing."""

    def __init__(self, parties: int, datasets: int) -> None:
        self._datasets = datasets
        self._version = [0] * parties
        self._pages: dict[tuple[int, int], bytes] = {}

    def answer(self, method: str, path: str, port: int) -> tuple[int, bytes, str]:
        """Return status, body and further headers."""
        _, name, rest = path.split("/", 2)
        party = int(name[1:])
        if rest == "share/catalogue/stamp":
            return 200, orjson.dumps({"stamp": f"v{self._version[party]}"}), ""
        if rest == "change":
            self._version[party] += 1
            self._pages = {key: page for key, page in self._pages.items() if key[0] != party}
            return 200, b"{}", ""
        if method != "POST":
            return 404, b"{}", ""
        start = int(rest.partition("after=")[2] or 0)
        following = f"http://127.0.0.1:{port}/p{party}/catalog/request?after={start + PAGE}"
        link = f'Link: <{following}>; rel="next"\r\n' if start + PAGE < self._datasets else ""
        told = f"request?after={start}" if "after=" in rest else "request"
        if (party, start) not in self._pages:
            self._pages[party, start] = orjson.dumps(self._page(party, start))
        return 200, self._pages[party, start], f"Content-Location: {told}\r\n{link}"

    def _page(self, party: int, start: int) -> dict[str, Any]:
        service = {"@id": "s", "@type": "DataService", "endpointURL": "http://127.0.0.1/dsp"}
        distribution = {"@type": "Distribution", "format": "HttpData-PULL", "accessService": service}
        offer = {"@id": "o", "@type": "Offer", "permission": [{"action": "use"}]}
        datasets = [
            {
                "@id": f"d{n:06}",
                "@type": "Dataset",
                "dct:title": _title(party, n, self._version[party] if n == 7 else 0),
                "dct:description": "time TIMESTAMP, value DOUBLE [Cel], machine VARCHAR, shift VARCHAR",
                "hasPolicy": [offer],
                "distribution": [distribution],
            }
            for n in range(start, min(start + PAGE, self._datasets))
        ]
        about = {"@context": [CONTEXT], "@id": "c", "@type": "Catalog", "participantId": f"urn:gongshu:party:p{party}"}
        return {**about, "dataset": datasets}


_THINGS = (
    "spindle",
    "主轴",
    "bearing",
    "轴承",
    "motor",
    "电机",
    "pump",
    "水泵",
    "furnace",
    "加热炉",
    "robot",
    "机器人",
)
_VALUES = ("temperature", "温度", "vibration", "振动", "pressure", "压力", "current", "电流", "speed", "转速", "energy")


def _title(party: int, number: int, version: int) -> str:
    turn = party + number
    later = f", version {version}" if version else ""
    return f"{_THINGS[turn % len(_THINGS)]} {_VALUES[turn // 3 % len(_VALUES)]} line {number} plant {party}{later}"


async def _serve(parties: int, datasets: int) -> None:
    peers = Peers(parties, datasets)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("sockname")[1]
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                lengths = [int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:")]
                await reader.readexactly(sum(lengths))
                method, path, _ = lines[0].split(" ")
                status, body, more = peers.answer(method, path, port)
                first = f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                writer.write(f"{first}{more}\r\n".encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
