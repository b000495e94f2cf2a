// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Check} from "./Check.sol";

/// @notice Goes through the cases of a file of golden vectors. Integers are decimal strings in them.
abstract contract Cases is Check {
    /// @dev One case at a time: the runner parses the whole text at every look.
    string[] private _all;
    string private _json;
    uint256 private _at;

    function load(string memory file) internal {
        _all = _lines(bytes(vm.readFile(string.concat("protocol/vectors/", file, ".json"))));
        _at = 0;
        yes(_all.length != 0, "there are cases");
    }

    /// @dev Moves to the next case; false after the last.
    function next() internal returns (bool) {
        if (_at == _all.length) return false;
        _json = _all[_at];
        ++_at;
        return true;
    }

    function refused(bytes memory call) internal {
        (bool ok, ) = address(this).call(call);
        yes(!ok, name());
    }

    function name() internal view returns (string memory) {
        return text("name");
    }

    function flag(string memory field) internal view returns (bool) {
        return vm.parseJsonBool(_json, string.concat(".", field));
    }

    function number(string memory field) internal view returns (uint256) {
        return vm.parseJsonUint(_json, string.concat(".", field));
    }

    function numbers(string memory field) internal view returns (uint256[] memory) {
        return vm.parseJsonUintArray(_json, string.concat(".", field));
    }

    function word(string memory field) internal view returns (bytes32) {
        return vm.parseJsonBytes32(_json, string.concat(".", field));
    }

    function words(string memory field) internal view returns (bytes32[] memory) {
        return vm.parseJsonBytes32Array(_json, string.concat(".", field));
    }

    function raw(string memory field) internal view returns (bytes memory) {
        return vm.parseJsonBytes(_json, string.concat(".", field));
    }

    function raws(string memory field) internal view returns (bytes[] memory) {
        return vm.parseJsonBytesArray(_json, string.concat(".", field));
    }

    function account(string memory field) internal view returns (address) {
        return vm.parseJsonAddress(_json, string.concat(".", field));
    }

    function text(string memory field) internal view returns (string memory) {
        return vm.parseJsonString(_json, string.concat(".", field));
    }

    /// @dev Vectors are written one case to a line: `{"cases":[`, the cases, `]}`.
    function _lines(bytes memory file) private pure returns (string[] memory lines) {
        uint256 count = 0;
        for (uint256 i = 0; i < file.length; ++i) if (file[i] == "\n") ++count;
        lines = new string[](count - 2);
        uint256 start = 0;
        uint256 line = 0;
        for (uint256 i = 0; i < file.length && line < count - 1; ++i) {
            if (file[i] != "\n") continue;
            if (line != 0) lines[line - 1] = string(_cut(file, start, file[i - 1] == "," ? i - 1 : i));
            ++line;
            start = i + 1;
        }
    }

    function _cut(bytes memory file, uint256 from, uint256 to) private pure returns (bytes memory part) {
        part = new bytes(to - from);
        assembly ("memory-safe") {
            mcopy(add(part, 32), add(add(file, 32), from), sub(to, from))
        }
    }
}
