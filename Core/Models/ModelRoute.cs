using System.Globalization;

namespace AiAspire.Core.Models;

/// <summary>A target and how often it is drawn, relative to the others of its group.</summary>
public sealed record WeightedTarget(ModelTarget Target, int Weight);

/// <summary>
/// The targets of a name, as groups in order: a group is used when everything in the groups before it failed. Within a group the
/// weights say how often a target comes first; the rest of the group follows as its fallback.
/// </summary>
public sealed class ModelRoute
{
    private readonly WeightedTarget[][] _groups;
    private readonly ModelTarget[] _declared;
    private readonly bool _drawn;

    public ModelRoute(IReadOnlyList<WeightedTarget[]> groups)
    {
        _groups = [.. groups];
        _declared = [.. _groups.SelectMany(g => g).Select(t => t.Target)];
        _drawn = _groups.Any(g => g.Length > 1);
    }

    /// <summary>All targets, in the order in which they were declared.</summary>
    public IReadOnlyList<ModelTarget> Targets => _declared;

    /// <summary>The order for one request.</summary>
    /// <param name="draw">Uniform in [0, 1).</param>
    public IReadOnlyList<ModelTarget> Order(Func<double> draw)
    {
        if (!_drawn)
            return _declared;
        var order = new List<ModelTarget>(_declared.Length);
        foreach (var group in _groups)
        {
            var left = group.ToList();
            while (left.Count > 1)
            {
                var point = draw() * left.Sum(t => t.Weight);
                var i = 0;
                while (i < left.Count - 1 && (point -= left[i].Weight) >= 0)
                    i++;
                order.Add(left[i].Target);
                left.RemoveAt(i);
            }

            order.Add(left[0].Target);
        }

        return order;
    }
}

/// <summary>One entry of a route in configuration: <c>gpt-4o</c>, or with weights <c>gpt-4o=3, gpt-4.1=1</c>.</summary>
internal static class RouteGroup
{
    public const int MaxWeight = 1_000_000;

    /// <param name="text">The entry.</param>
    /// <param name="fault">What is wrong with it; null when nothing is.</param>
    public static List<(string Model, int Weight)> Parse(string? text, out string? fault)
    {
        var group = new List<(string, int)>();
        fault = null;
        foreach (var part in (text ?? "").Split(',', StringSplitOptions.TrimEntries))
        {
            var at = part.LastIndexOf('=');
            var model = (at < 0 ? part : part[..at]).TrimEnd();
            var weight = 1;
            if (model.Length == 0)
                fault = $"'{text}' names no model; write 'model' or 'model=weight, other=weight'.";
            else if (at >= 0 && (!int.TryParse(part[(at + 1)..].Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out weight) || weight is < 1 or > MaxWeight))
                fault = $"the weight in '{part}' must be a whole number from 1 to {MaxWeight}.";
            else
                group.Add((model, weight));
        }

        return group;
    }
}
