"""What a robot stands on and is seen by: added to an MJCF that does not bring its own."""

from __future__ import annotations

import mujoco

SKY = {"rgb1": [0.72, 0.78, 0.86], "rgb2": [0.26, 0.36, 0.5]}
SQUARES = {"rgb1": [0.55, 0.58, 0.62], "rgb2": [0.48, 0.51, 0.55], "markrgb": [0.66, 0.69, 0.73]}
LIGHT = {"ambient": [0.32, 0.32, 0.34], "diffuse": [0.42, 0.42, 0.42], "specular": [0.1, 0.1, 0.1]}


def furnish(spec: mujoco.MjSpec) -> None:
    """Adds what is missing: a floor at height 0, squares on floors without material, a sun and a sky.

    Apart from the floor, this only changes how things look.
    """
    planes = [geom for geom in spec.worldbody.geoms if geom.type == mujoco.mjtGeom.mjGEOM_PLANE]
    if not planes:
        name = "floor" if spec.geom("floor") is None else "floor_plane"
        planes = [spec.worldbody.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0.0, 0.0, 0.05])]
    plain = [plane for plane in planes if not plane.material]
    material = _squares(spec) if plain else ""
    for plane in plain:
        plane.material = material
    if not spec.lights:
        spec.worldbody.add_light(
            name="sun", pos=[2.0, -2.0, 5.0], dir=[-0.35, 0.35, -0.87], diffuse=[0.6, 0.6, 0.58], castshadow=True,
            type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        )  # fmt: skip
        for kind, color in LIGHT.items():
            setattr(spec.visual.headlight, kind, color)
    if not any(texture.type == mujoco.mjtTexture.mjTEXTURE_SKYBOX for texture in spec.textures):
        spec.add_texture(
            name=_free(spec.textures, "sky"), type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
            builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT, width=512, height=3072, **SKY,
        )  # fmt: skip
        spec.visual.rgba.haze = [*SKY["rgb1"], 1.0]  # the horizon's colour


def _squares(spec: mujoco.MjSpec) -> str:
    """A material with squares of 1 m; its name."""
    texture, material = _free(spec.textures, "squares"), _free(spec.materials, "squares")
    spec.add_texture(
        name=texture, type=mujoco.mjtTexture.mjTEXTURE_2D, builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        mark=mujoco.mjtMark.mjMARK_EDGE, width=300, height=300, **SQUARES,
    )  # fmt: skip
    element = spec.add_material(name=material, texuniform=True, texrepeat=[1.0, 1.0], reflectance=0.08)
    element.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = texture
    return material


def _free(elements: list, name: str) -> str:
    """The name, with underscores where it is taken."""
    taken = {element.name for element in elements}
    while name in taken:
        name += "_"
    return name
