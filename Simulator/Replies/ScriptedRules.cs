using System.Text;
using System.Text.RegularExpressions;
using AiAspire.Simulator.Generation;

namespace AiAspire.Simulator.Replies;

/// <summary>The first rule that fits a prompt decides its reply.</summary>
internal sealed class ScriptedRules(IReadOnlyList<ScriptedRule> rules)
{
    /// <summary>Null when no rule fits.</summary>
    public ReplyPart? Find(ChatPrompt prompt, string model)
    {
        foreach (var rule in rules)
        {
            if (rule.AfterTool != prompt.ToolResult is not null || !IsAllowed(rule, prompt)) continue;
            if (rule.Model is not null && rule.Model != model) continue;
            var match = rule.Pattern.Match(prompt.LastUserText);
            if (!match.Success || rule.System?.IsMatch(prompt.SystemText) == false) continue;
            return rule.Reply is not null
                ? new ReplyPart(null, Fill(rule.Reply, match, prompt, escape: false))
                : new ReplyPart(rule.ToolName, Fill(rule.Json!, match, prompt, escape: true));
        }

        return null;
    }

    /// <summary>A rule never breaks what the caller demanded: no text where JSON or a call is due, no call of a tool that was not offered.</summary>
    private static bool IsAllowed(ScriptedRule rule, ChatPrompt prompt)
    {
        if (rule.ToolName is { } tool)
            return prompt.Demand != ToolDemand.None && (prompt.ForcedTool ?? tool) == tool && prompt.Tools.Exists(t => t.Name == tool);
        var mustCall = prompt.Demand == ToolDemand.Required && prompt.Tools.Count > 0 && prompt.ToolResult is null;
        return !mustCall && (rule.Reply is null || prompt.Format == AnswerFormat.Text);
    }

    /// <summary>Replaces <c>{{0}}</c>, <c>{{1}}</c>, <c>{{name}}</c> by the pattern's groups and <c>{{tool}}</c> by the tools' results.</summary>
    private static string Fill(string template, Match match, ChatPrompt prompt, bool escape)
    {
        if (!template.Contains("{{", StringComparison.Ordinal)) return template;
        var filled = new StringBuilder(template.Length);
        for (var at = 0; at < template.Length;)
        {
            var open = template.IndexOf("{{", at, StringComparison.Ordinal);
            var close = open < 0 ? -1 : template.IndexOf("}}", open, StringComparison.Ordinal);
            var name = close < 0 ? "" : template[(open + 2)..close];
            var value = name == "tool" ? prompt.ToolResult ?? "" : close < 0 ? null : match.Groups[name] is { Success: true } group ? group.Value : null;
            if (close < 0) return filled.Append(template, at, template.Length - at).ToString();
            // What names no group stays: nested JSON objects end in two braces as well.
            if (value is null)
            {
                filled.Append(template, at, open + 2 - at);
                at = open + 2;
                continue;
            }

            filled.Append(template, at, open - at).Append(escape ? CompactJson.Escape(value) : value);
            at = close + 2;
        }

        return filled.ToString();
    }
}
