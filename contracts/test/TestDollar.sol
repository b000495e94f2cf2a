// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IERC3009} from "../interfaces/external/IERC3009.sol";

/// @notice Play money for networks without value: anyone mints. Like USDC it takes ERC-2612 permits and ERC-3009
/// authorizations.
contract TestDollar is ERC20Permit, IERC3009 {
    bytes32 private constant _RECEIVE =
        keccak256(
            "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
        );
    bytes32 private constant _TRANSFER =
        keccak256(
            "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
        );

    /// @inheritdoc IERC3009
    mapping(address authorizer => mapping(bytes32 nonce => bool isUsed)) public authorizationState;

    /// @notice An authorization was used.
    event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce);

    /// @notice Thrown when somebody other than the payee submits what only the payee may.
    error CallerNotPayee(address caller, address to);
    /// @notice Thrown before an authorization holds.
    error AuthorizationTooEarly(uint256 validAfter);
    /// @notice Thrown when an authorization holds no longer.
    error AuthorizationExpired(uint256 validBefore);
    /// @notice Thrown when a nonce was used.
    error NonceUsed(address authorizer, bytes32 nonce);
    /// @notice Thrown when an authorization is not signed by who would pay.
    error AuthorizationNotSigned(address signer, address from);

    constructor() ERC20("AiMo Test Dollar", "tUSD") ERC20Permit("AiMo Test Dollar") {}

    /// @notice Makes `amount` base units out of nothing.
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    /// @notice Moves tokens by the payer's signature over `TransferWithAuthorization`. Anyone may submit it.
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        bytes32 structHash = keccak256(abi.encode(_TRANSFER, from, to, value, validAfter, validBefore, nonce));
        _checkTime(validAfter, validBefore);
        _use(from, nonce, ECDSA.recover(_hashTypedDataV4(structHash), v, r, s));
        _transfer(from, to, value);
    }

    /// @inheritdoc IERC3009
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        require(to == msg.sender, CallerNotPayee(msg.sender, to));
        bytes32 structHash = keccak256(abi.encode(_RECEIVE, from, to, value, validAfter, validBefore, nonce));
        _checkTime(validAfter, validBefore);
        _use(from, nonce, ECDSA.recover(_hashTypedDataV4(structHash), v, r, s));
        _transfer(from, to, value);
    }

    /// @notice Six, like the dollar tokens it stands in for.
    function decimals() public pure override returns (uint8) {
        return 6;
    }

    function _use(address from, bytes32 nonce, address signer) private {
        require(signer == from, AuthorizationNotSigned(signer, from));
        require(!authorizationState[from][nonce], NonceUsed(from, nonce));
        authorizationState[from][nonce] = true;
        emit AuthorizationUsed(from, nonce);
    }

    /// @dev Both ends are outside, as in the dollar tokens it stands in for.
    function _checkTime(uint256 validAfter, uint256 validBefore) private view {
        require(block.timestamp > validAfter, AuthorizationTooEarly(validAfter));
        require(block.timestamp < validBefore, AuthorizationExpired(validBefore));
    }
}
