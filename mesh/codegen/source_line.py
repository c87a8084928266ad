"""Source locations in contracts."""

from collections.abc import Sequence

from protobuf.wkt import FileDescriptorSet
from protobuf.wkt.google.protobuf.descriptor_pb import SourceCodeInfo


def source_line(image: FileDescriptorSet, file_name: str, path: Sequence[int]) -> int:
    """Returns the line, from 1, of the element at this path of a file, or of its innermost known parent. The path holds
    numbers of fields and indexes (google.protobuf.SourceCodeInfo.Location.path).
    """
    file = next(file for file in image.file if file.name == file_name)
    locations = (file.source_code_info or SourceCodeInfo()).location
    around = [place for place in locations if place.path and list(place.path) == list(path[: len(place.path)])]
    return max(around, key=lambda place: len(place.path)).span[0] + 1 if around else 1
