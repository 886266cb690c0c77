using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using AiAspire.Simulator.Control;

namespace AiAspire.Simulator.Behaviours;

/// <summary>Reads <c>Simulator:Behaviours:{model}</c> with the rules of the control API, so that both know the same fields and limits.</summary>
internal static class ConfiguredBehaviours
{
    public static Dictionary<string, Behaviour> Read(IConfiguration configuration)
    {
        var behaviours = new Dictionary<string, Behaviour>(StringComparer.Ordinal);
        foreach (var model in configuration.GetSection($"{SimulatorOptions.Section}:Behaviours").GetChildren())
        {
            try
            {
                behaviours[model.Key] = BehaviourReader.Read(JsonSerializer.SerializeToElement(Node(model), ControlJson.Default.JsonNode));
            }
            catch (BehaviourException e)
            {
                throw new InvalidOperationException($"{model.Path}: {e.Message}", e);
            }
        }

        return behaviours;
    }

    private static JsonNode? Node(IConfigurationSection section)
    {
        var children = section.GetChildren().ToArray();
        if (children.Length == 0) return Leaf(section.Value);
        var node = new JsonObject();
        foreach (var child in children) node[JsonNamingPolicy.CamelCase.ConvertName(child.Key)] = Node(child);
        return node;
    }

    private static JsonNode? Leaf(string? value)
        => bool.TryParse(value, out var flag) ? flag
            : long.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole) ? whole
            : double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number
            : value;
}
